import type { Parsed } from "../../lib/parsed.ts";
import { parseVersion } from "../../lib/version.ts";

/** What an executable says of itself without being run. */
export interface BuildMark {
  version: string;
  commit: string;
  /** As images name it: `linux/arm64`. */
  platform: string;
  /** Which one nodes and servers of it speak. */
  protocol: number;
}

/** The build puts a text of this form into each executable. */
const MARK = new RegExp(
  String.raw`orchd-build:version=([\w.+-]{1,64});commit=([\w+]{1,64});` +
    String.raw`platform=(linux\/\w{1,16});(?:protocol=(\d{1,4});)?end`,
);
const MARK_LENGTH_MAX = 256;
/** ELF-64, little-endian; System V ABI, chapter 4: e_machine of the two that orchd is built for. */
const ELF_HEAD = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const MACHINE_AT = 18;
const MACHINES: Readonly<Record<number, string>> = { 62: "linux/amd64", 183: "linux/arm64" };
const HEAD_BYTES = 20;

/** Looks through an executable of orchd, piece by piece, for what it says of itself. */
export class MarkReader {
  readonly #head: number[] = [];
  #rest = "";
  #mark: BuildMark | undefined;

  push(bytes: Uint8Array): void {
    for (const byte of bytes.subarray(0, HEAD_BYTES - this.#head.length)) this.#head.push(byte);
    if (this.#mark !== undefined) return;
    // Each byte is one character, so that a text that begins in the last piece is found too.
    const text = this.#rest + new TextDecoder("latin1").decode(bytes);
    const [, version, commit, platform, protocol = "1"] = MARK.exec(text) ?? [];
    if (version !== undefined && commit !== undefined && platform !== undefined) {
      this.#mark = { version, commit, platform, protocol: Number(protocol) };
    }
    this.#rest = text.slice(-MARK_LENGTH_MAX);
  }

  /** What it is, or why it is none, in a sentence without its full stop. */
  finish(): Parsed<BuildMark> {
    const isElf = ELF_HEAD.every((byte, at) => this.#head[at] === byte);
    const machine = (this.#head[MACHINE_AT] ?? 0) + 256 * (this.#head[MACHINE_AT + 1] ?? 0);
    const built = isElf ? MACHINES[machine] : undefined;
    const mark = this.#mark;
    if (built === undefined || mark === undefined || parseVersion(mark.version) === undefined) {
      return { ok: false, problem: "it is no executable of orchd for linux" };
    }
    if (built === mark.platform) return { ok: true, value: mark };
    return { ok: false, problem: `it says that it is for ${mark.platform}, and is for ${built}` };
  }
}
