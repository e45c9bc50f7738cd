import { OrchdError } from "../../lib/errors.ts";

/** A file of an archive; its content is to be read before the next one is asked for. */
export interface TarFile {
  name: string;
  size: number;
  /** Where it leads, of a link; its name is then only another one. */
  link?: string;
  content: AsyncIterable<Uint8Array>;
}

const BLOCK = 512;
/** What a name may need in a header before its file. */
const NAME_BYTES_MAX = 64 * 1024;

/**
 * The files of a tar archive of any of the usual kinds (ustar, pax, GNU), as they come.
 * @throws OrchdError `invalid` for what is none, or is cut off
 */
export async function* tarFiles(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarFile> {
  const input = new Input(archive);
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const header = await input.take(BLOCK);
    if (header.every((byte) => byte === 0)) return;
    requireHeader(header);
    const size = sizeIn(header);
    const type = String.fromCharCode(header[156] ?? 0);
    const padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (type === "x" || type === "L" || type === "K" || type === "g") {
      if (size > NAME_BYTES_MAX) throw damaged();
      const text = new TextDecoder().decode(await input.take(size));
      await input.take(padding);
      if (type === "L") longName = untilZero(text);
      else if (type === "K") longLink = untilZero(text);
      else if (type === "x") {
        longName = text.match(/^\d+ path=(.*)$/m)?.[1] ?? longName;
        longLink = text.match(/^\d+ linkpath=(.*)$/m)?.[1] ?? longLink;
      }
      continue;
    }
    const name = (longName ?? nameIn(header)).replace(/^(?:\.?\/)+/, "");
    const link = longLink ?? textIn(header, 157, 100);
    [longName, longLink] = [undefined, undefined];
    let left = size;
    const content = input.pieces(
      () => left,
      (taken) => (left -= taken),
    );
    if (type === "0" || type === "\0") yield { name, size, content };
    else if (type === "1" || type === "2") yield { name, size: 0, link, content };
    for await (const _ of content);
    await input.take(padding);
  }
}

/** Bytes of a stream, so many at a time. */
class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Uint8Array> {
    const whole = new Uint8Array(bytes);
    for (let at = 0; at < bytes;) {
      const part = await this.#next(bytes - at);
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  async *pieces(left: () => number, taken: (bytes: number) => void): AsyncGenerator<Uint8Array> {
    while (left() > 0) {
      const part = await this.#next(left());
      taken(part.length);
      yield part;
    }
  }

  async #next(most: number): Promise<Uint8Array> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) throw damaged();
      this.#held = next.value;
    }
    const part = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(part.length);
    return part;
  }
}

export function damaged(cause?: unknown): OrchdError {
  const message =
    "the file is damaged or is no image archive; make one with: podman save -o FILE IMAGE";
  return new OrchdError("invalid", message, { cause });
}

function requireHeader(header: Uint8Array): void {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  if (Number.parseInt(textIn(header, 148, 8).trim(), 8) !== sum) throw damaged();
}

/** Octal digits, or a number in base 256 where those do not suffice. */
function sizeIn(header: Uint8Array): number {
  let size = 0;
  if (((header[124] ?? 0) & 0x80) === 0) {
    size = Number.parseInt(textIn(header, 124, 12).trim() || "0", 8);
  } else {
    for (let i = 125; i < 136; i++) size = size * 256 + (header[i] ?? 0);
  }
  if (!Number.isSafeInteger(size)) throw damaged();
  return size;
}

function nameIn(header: Uint8Array): string {
  const isUstar = textIn(header, 257, 6) === "ustar" && header[263] === 0x30;
  const prefix = isUstar ? textIn(header, 345, 155) : "";
  const name = textIn(header, 0, 100);
  return prefix === "" ? name : `${prefix}/${name}`;
}

function textIn(header: Uint8Array, from: number, length: number): string {
  return untilZero(new TextDecoder().decode(header.subarray(from, from + length)));
}

function untilZero(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}
