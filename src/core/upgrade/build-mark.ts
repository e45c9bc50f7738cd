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
  String.raw`^orchd-build:version=([\w.+-]{1,64});commit=([\w+]{1,64});` +
    String.raw`platform=(linux\/\w{1,16});(?:protocol=(\d{1,4});)?end`,
);
const BEGIN = new TextEncoder().encode("orchd-build:version=");
/** Where the rarest of its bytes is, a colon: what there is to look at are the places of it. */
const RARE_AT = 11;
const BEFORE_RARE = BEGIN[RARE_AT - 1];
const MARK_LENGTH_MAX = 256;
/** ELF-64, little-endian; System V ABI, chapter 4: e_machine of the two that orchd is built for. */
const ELF_HEAD = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const MACHINE_AT = 18;
const MACHINES: Readonly<Record<number, string>> = { 62: "linux/amd64", 183: "linux/arm64" };
/** Where e_shoff, e_shentsize and e_shnum are: the table of sections is a file's last part. */
const SECTIONS_AT = 0x28;
const SECTION_BYTES_AT = 0x3a;
const SECTION_COUNT_AT = 0x3c;
const HEAD_BYTES = 64;

/** Looks through an executable of orchd, piece by piece, for what it says of itself. */
export class MarkReader {
  readonly #head = new Uint8Array(HEAD_BYTES);
  #bytes = 0;
  /** The end of the last piece: a text that begins in one piece may end in the next. */
  #rest = new Uint8Array();
  #mark: BuildMark | undefined;

  push(bytes: Uint8Array): void {
    const room = HEAD_BYTES - this.#bytes;
    if (room > 0) this.#head.set(bytes.subarray(0, room), this.#bytes);
    this.#bytes += bytes.length;
    if (this.#mark !== undefined) return;
    const joined = new Uint8Array(this.#rest.length + bytes.length);
    joined.set(this.#rest);
    joined.set(bytes, this.#rest.length);
    this.#mark = markIn(joined);
    this.#rest = joined.slice(-MARK_LENGTH_MAX);
  }

  /** What it is, or why it is none, in a sentence without its full stop. */
  finish(): Parsed<BuildMark> {
    const isElf =
      this.#bytes >= HEAD_BYTES && ELF_HEAD.every((byte, at) => this.#head[at] === byte);
    const head = new DataView(this.#head.buffer);
    const built = isElf ? MACHINES[head.getUint16(MACHINE_AT, true)] : undefined;
    if (built === undefined) return refused("it is no executable of orchd for linux");
    const sections =
      head.getUint16(SECTION_BYTES_AT, true) * head.getUint16(SECTION_COUNT_AT, true);
    const isCut = BigInt(this.#bytes) < head.getBigUint64(SECTIONS_AT, true) + BigInt(sections);
    if (isCut) return refused("it is cut off");
    const mark = this.#mark;
    if (mark === undefined || parseVersion(mark.version) === undefined) {
      return refused("it is no executable of orchd for linux");
    }
    if (built === mark.platform) return { ok: true, value: mark };
    return refused(`it says that it is for ${mark.platform}, and is for ${built}`);
  }
}

function markIn(bytes: Uint8Array): BuildMark | undefined {
  const rare = BEGIN[RARE_AT] ?? 0;
  for (let at = bytes.indexOf(rare); at >= 0; at = bytes.indexOf(rare, at + 1)) {
    const begin = at - RARE_AT;
    if (bytes[at - 1] !== BEFORE_RARE || bytes[begin] !== BEGIN[0]) continue;
    const text = String.fromCharCode(...bytes.subarray(begin, begin + MARK_LENGTH_MAX));
    const [, version, commit, platform, protocol = "1"] = MARK.exec(text) ?? [];
    if (version === undefined || commit === undefined || platform === undefined) continue;
    return { version, commit, platform, protocol: Number(protocol) };
  }
  return undefined;
}

function refused(problem: string): { ok: false; problem: string } {
  return { ok: false, problem };
}
