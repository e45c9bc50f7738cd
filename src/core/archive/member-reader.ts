import type { Parsed } from "../../lib/parsed.ts";
import { BLOCK_BYTES, type Block, decodeForeignBlock, isZero, paddingOf } from "./block.ts";
import { byteStringOf, joined, shownName } from "./bytes.ts";
import { DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX } from "./entry.ts";
import { decodePax, PAX_BYTES_MAX } from "./pax.ts";

/** One member of an archive that another program wrote. */
export interface Member {
  kind: "file" | "directory" | "link";
  /** A byte string inside of the archive, without `./` in front. */
  path: string;
  /** Bytes of a file's content; 0 for everything else. */
  size: number;
  /** The member that a link leads to, as a path inside of the archive; empty for others. */
  target: string;
}

export interface MemberLimits {
  membersMax: number;
  /** Content of all files together. */
  bytesMax: number;
}

export type MemberEvent =
  | { type: "member"; member: Member }
  /** A piece of the content of the file that came last. */
  | { type: "data"; bytes: Uint8Array }
  /** The content of the file that came last is complete. */
  | { type: "done" }
  /** Why it is refused, in a sentence without its full stop. Nothing comes after it. */
  | { type: "problem"; message: string };

type Waiting = "block" | "header" | "content" | "padding" | "nothing";

const CUT = "the archive is cut off: it has no end";
/** One word of a pax header, or of GNU's blocks for long names, about the member after it. */
const FILE_TYPES = new Set(["0", "\0", "7"]);
const LINK_TYPES = new Set(["1", "2"]);
const GNU_NAME = "L";
const GNU_LINK = "K";
const PAX = "x";
const PAX_GLOBAL = "g";

/**
 * Reads tar archives of others piece by piece: POSIX, pax and GNU's long names. It tells what the
 * archive holds and believes nothing: a name that leads out of it, a device and a hole are refused.
 * Times, owners and permissions are of no interest here.
 */
export class MemberReader {
  readonly #limits: MemberLimits;
  readonly #gathered: Uint8Array[] = [];
  #waiting: Waiting = "block";
  #missing = BLOCK_BYTES;
  #header: Block | undefined;
  #padding = 0;
  /** What was said of the member that comes next. */
  #said: { path?: string; target?: string; size?: number } = {};
  #members = 0;
  #bytes = 0;
  #zeros = 0;
  #hasFailed = false;

  constructor(limits: MemberLimits) {
    this.#limits = limits;
  }

  /** What the next bytes of the archive tell. Data events are parts of `chunk`. */
  *push(chunk: Uint8Array): Generator<MemberEvent, void, void> {
    let rest = chunk;
    while (rest.length > 0 && !this.#hasFailed && this.#waiting !== "nothing") {
      const piece = rest.subarray(0, this.#missing);
      rest = rest.subarray(piece.length);
      this.#missing -= piece.length;
      if (this.#waiting === "content") yield { type: "data", bytes: piece };
      else this.#gathered.push(piece);
      if (this.#missing > 0) continue;
      for (const event of this.#complete()) {
        yield event;
        if (event.type === "problem") return;
      }
    }
    // The pieces that wait for more belong to the caller's buffer.
    this.#gathered.splice(0, this.#gathered.length, ...this.#gathered.map((p) => p.slice()));
  }

  /** To be asked when nothing more comes: what is wrong with the archive's end, if anything. */
  finish(): string | undefined {
    // Two blocks of zeros are its end; one, or none behind a whole member, is found as well.
    const isEnd = this.#waiting === "block" && this.#missing === BLOCK_BYTES && this.#members > 0;
    return this.#waiting === "nothing" || (isEnd && this.#zeros > 0) ? undefined : CUT;
  }

  *#complete(): Generator<MemberEvent, void, void> {
    const bytes = joined(this.#gathered);
    this.#gathered.length = 0;
    switch (this.#waiting) {
      case "block":
        return yield* this.#onBlock(bytes);
      case "header":
        return yield* this.#onHeader(bytes);
      case "content":
        yield { type: "done" };
        return this.#await(this.#padding === 0 ? "block" : "padding", this.#padding);
      case "padding":
        return this.#await("block");
      case "nothing":
        return;
    }
  }

  #await(waiting: Waiting, bytes = 0): void {
    this.#waiting = waiting;
    this.#missing = waiting === "block" ? BLOCK_BYTES : bytes;
  }

  *#onBlock(bytes: Uint8Array): Generator<MemberEvent, void, void> {
    if (isZero(bytes)) {
      this.#zeros += 1;
      return this.#await(this.#zeros === 2 ? "nothing" : "block");
    }
    const block = decodeForeignBlock(bytes);
    if (block === undefined || this.#zeros > 0) {
      const what = this.#members === 0 ? "is no tar archive" : "is damaged";
      return yield this.#fail(`the archive ${what}`);
    }
    if ([PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK].includes(block.type)) {
      if (block.size === 0 || block.size > PAX_BYTES_MAX) {
        return yield this.#fail("the archive is damaged");
      }
      this.#header = block;
      this.#padding = paddingOf(block.size);
      return this.#await("header", block.size + this.#padding);
    }
    yield* this.#onMember(block);
  }

  *#onHeader(bytes: Uint8Array): Generator<MemberEvent, void, void> {
    const content = bytes.subarray(0, bytes.length - this.#padding);
    const type = this.#header?.type;
    this.#await("block");
    // What is said of all members is nothing that matters here.
    if (type === PAX_GLOBAL) return;
    if (type !== PAX) {
      const text = byteStringOf(content).replace(/\0.*$/s, "");
      if (type === GNU_NAME) this.#said.path = text;
      else this.#said.target = text;
      return;
    }
    const records = decodePax(content);
    const size = records?.get("size");
    if (records === undefined || (size !== undefined && !/^\d{1,15}$/.test(size))) {
      return yield this.#fail("the archive is damaged");
    }
    const [path, target] = [records.get("path"), records.get("linkpath")];
    if (path !== undefined) this.#said.path = path;
    if (target !== undefined) this.#said.target = target;
    if (size !== undefined) this.#said.size = Number(size);
  }

  *#onMember(block: Block): Generator<MemberEvent, void, void> {
    const parsed = memberOf(block, this.#said);
    this.#said = {};
    if (!parsed.ok) return yield this.#fail(parsed.problem);
    const { value: member } = parsed;
    this.#members += 1;
    this.#bytes += member.size;
    if (this.#members > this.#limits.membersMax) {
      return yield this.#fail(`the archive has more than ${this.#limits.membersMax} members`);
    }
    if (this.#bytes > this.#limits.bytesMax) {
      const where = shownName(member.path);
      return yield this.#fail(`the archive holds more than there is room for, at ${where}`);
    }
    yield { type: "member", member };
    if (member.size === 0 && member.kind === "file") yield { type: "done" };
    this.#padding = paddingOf(member.size);
    if (member.size > 0) this.#await("content", member.size);
    else this.#await("block");
  }

  #fail(message: string): Extract<MemberEvent, { type: "problem" }> {
    this.#hasFailed = true;
    return { type: "problem", message };
  }
}

function memberOf(
  block: Block,
  said: { path?: string; target?: string; size?: number },
): Parsed<Member> {
  const written = said.path ?? block.name;
  const refused = (why: string): Parsed<Member> => ({
    ok: false,
    problem: `the archive is refused: ${shownName(written)} ${why}`,
  });
  const isFile = FILE_TYPES.has(block.type);
  const isLink = LINK_TYPES.has(block.type);
  if (!isFile && !isLink && block.type !== "5") return refused("is a device, a hole or unknown");
  const path = plainPath(written);
  if (path === undefined || (path === "" && block.type !== "5")) {
    return refused("leads out of the archive");
  }
  const size = said.size ?? block.size;
  if (isFile) return { ok: true, value: { kind: "file", path, size, target: "" } };
  if (block.type === "5") {
    return { ok: true, value: { kind: "directory", path, size: 0, target: "" } };
  }
  const link = said.target ?? block.link;
  const folder = block.type === "2" ? path.split("/").slice(0, -1) : [];
  const target = plainPath([...folder, link].join("/"), true);
  if (target === undefined || link.startsWith("/")) {
    return refused("links to what is not in the archive");
  }
  return { ok: true, value: { kind: "link", path, size: 0, target } };
}

/** Without `.`; undefined for what leads out. `..` is followed in targets of links alone. */
function plainPath(text: string, isTarget = false): string | undefined {
  if (text.startsWith("/") || text.includes("\0") || text.length > PATH_BYTES_MAX) return undefined;
  const names: string[] = [];
  for (const name of text.split("/")) {
    if (name === "" || name === ".") continue;
    if (name.length > NAME_BYTES_MAX || names.length >= DEPTH_MAX) return undefined;
    if (name !== "..") names.push(name);
    else if (!isTarget || names.pop() === undefined) return undefined;
  }
  return names.join("/");
}
