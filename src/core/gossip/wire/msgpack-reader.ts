import type { Refusal } from "./refusal.ts";

/** Values within one that is passed over: nobody sends more, and a stream may be read again. */
const SKIPPED_MAX = 32;
const TEXTS = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads msgpack of any age: texts and bytes in the old and the new form, numbers of any width. It
 * never throws. The first thing that is wrong is kept in `refused`, and from then on every read
 * gives an empty value; the caller looks once, at the end. No length is believed before the bytes
 * are there, and nothing is allocated by it.
 */
export class MsgpackReader {
  /** Where the next value begins. */
  at: number;
  /** What was wrong first. */
  refused: Refusal | undefined;
  /** After `truncated`: how many bytes there must be at least to get any further. */
  wanted = 0;
  private readonly bytes: Uint8Array;
  private readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get ok(): boolean {
    return this.refused === undefined;
  }

  refuse(refusal: Refusal): void {
    this.refused ??= refusal;
  }

  /** Bytes outside of msgpack, as a view of what was given. */
  raw(count: number): Uint8Array {
    if (!this.has(count)) return new Uint8Array();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  byte(): number {
    return this.has(1) ? (this.bytes[this.at++] ?? 0) : 0;
  }

  /** Number of entries of a map; nil counts as an empty one. */
  map(): number {
    const tag = this.byte();
    if (tag === 0xc0) return 0;
    if (tag >= 0x80 && tag <= 0x8f) return tag & 0x0f;
    if (tag === 0xde) return this.number(2);
    if (tag === 0xdf) return this.number(4);
    this.refuse("badValue");
    return 0;
  }

  /** Number of items of an array; nil counts as an empty one. */
  array(): number {
    const tag = this.byte();
    if (tag === 0xc0) return 0;
    if (tag >= 0x90 && tag <= 0x9f) return tag & 0x0f;
    if (tag === 0xdc) return this.number(2);
    if (tag === 0xdd) return this.number(4);
    this.refuse("badValue");
    return 0;
  }

  /** As Go's codec: false, true, 0 and 1; nil is false. */
  bool(): boolean {
    const tag = this.byte();
    if (tag === 0xc2 || tag === 0xc0 || tag === 0x00) return false;
    if (tag === 0xc3 || tag === 0x01) return true;
    this.refuse("badValue");
    return false;
  }

  /** A whole number from 0 to `max`, in any width, signed or not; nil is 0. */
  uint(max: number): number {
    const tag = this.byte();
    const value = tag < 0x80 ? tag : tag === 0xc0 ? 0 : this.wideInteger(tag);
    if (value >= 0 && value <= max) return value;
    this.refuse("badNumber");
    return 0;
  }

  /** Bytes as a view of what was given; nil is none. */
  bin(): Uint8Array {
    return this.raw(this.binLength(this.byte()) ?? this.wrongLength());
  }

  text(): string {
    const length = this.binLength(this.byte()) ?? this.wrongLength();
    if (!this.has(length)) return "";
    const start = this.at;
    this.at += length;
    return shortAscii(this.bytes, start, this.at) ?? this.decode(start);
  }

  private wrongLength(): number {
    this.refuse("badValue");
    return 0;
  }

  private decode(start: number): string {
    try {
      return TEXTS.decode(this.bytes.subarray(start, this.at));
    } catch {
      // The decoder's only way to say that it is no UTF-8.
      this.refuse("badText");
      return "";
    }
  }

  /** Passes over one value of any kind, and what it holds. */
  skip(valuesMax = SKIPPED_MAX): void {
    let skipped = 0;
    for (let left = 1; left > 0 && this.ok; left--) {
      left += this.skipHead(this.byte());
      if (++skipped > valuesMax) this.refuse("tooMany");
    }
  }

  private has(count: number): boolean {
    if (this.ok && count > this.end - this.at) {
      this.refuse("truncated");
      this.wanted = this.at + count;
    }
    return this.ok;
  }

  /** Passes over a value without what it holds. @returns how many values that is */
  private skipHead(tag: number): number {
    if (tag < 0x80 || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) return 0;
    if (tag <= 0x8f) return (tag & 0x0f) * 2;
    if (tag <= 0x9f) return tag & 0x0f;
    if (tag === 0xdc || tag === 0xdd) return this.number(tag === 0xdc ? 2 : 4);
    if (tag === 0xde || tag === 0xdf) return this.number(tag === 0xde ? 2 : 4) * 2;
    const length = this.binLength(tag) ?? this.fixedLength(tag);
    if (length === undefined) this.refuse("badValue");
    else this.raw(length);
    return 0;
  }

  private binLength(tag: number): number | undefined {
    if (tag >= 0xa0 && tag <= 0xbf) return tag & 0x1f;
    if (tag === 0xc0) return 0;
    if (tag === 0xc4 || tag === 0xd9) return this.number(1);
    if (tag === 0xc5 || tag === 0xda) return this.number(2);
    if (tag === 0xc6 || tag === 0xdb) return this.number(4);
    return undefined;
  }

  /** Lengths of floats, integers and extensions, their type byte included. */
  private fixedLength(tag: number): number | undefined {
    if (tag === 0xc7) return this.number(1) + 1;
    if (tag === 0xc8) return this.number(2) + 1;
    if (tag === 0xc9) return this.number(4) + 1;
    if (tag >= 0xd4 && tag <= 0xd8) return 2 ** (tag - 0xd4) + 1;
    if (tag === 0xca) return 4;
    if (tag === 0xcb) return 8;
    if (tag >= 0xcc && tag <= 0xcf) return 2 ** (tag - 0xcc);
    if (tag >= 0xd0 && tag <= 0xd3) return 2 ** (tag - 0xd0);
    return undefined;
  }

  private wideInteger(tag: number): number {
    if (tag >= 0xcc && tag <= 0xcf) return this.number(2 ** (tag - 0xcc));
    if (tag >= 0xe0) return -1;
    if (tag < 0xd0 || tag > 0xd3) {
      this.refuse(tag === 0xca || tag === 0xcb ? "badNumber" : "badValue");
      return 0;
    }
    const width = 2 ** (tag - 0xd0);
    const value = this.number(width);
    // Which negative number it is does not matter: no field takes any.
    return value >= 2 ** (8 * width - 1) ? -1 : value;
  }

  /** A big-endian number; one of more than 53 bits is rounded, and so still out of any range. */
  private number(width: number): number {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.byte();
    return value;
  }
}

/** Names of fields and members as text, several times faster than by the decoder. */
function shortAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > 32) return undefined;
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte > 0x7f) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}
