import { byteStringOf, bytesOf } from "./bytes.ts";

/**
 * A block of a tar archive, POSIX.1-2001 (pax). Numbers are octal digits, ended by NUL or blank;
 * what does not fit stands in a pax header before the block.
 */
export const BLOCK_BYTES = 512;
/** Larger numbers than these do not fit their fields. */
export const ID_MAX = 0o7777777;
export const SIZE_MAX = 0o77777777777;
const NAME_BYTES = 100;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
const MAGIC_AT = 257;
const PREFIX_AT = 345;
const PREFIX_BYTES = 155;
const MAGIC = "ustar\u000000";
/** As GNU's tar writes it, in the two fields of the magic and the version. */
const GNU_MAGIC = "ustar  \u0000";
/** A number as bytes instead of digits, as GNU and Go write what digits have no room for. */
const BINARY_MARK = 0x80;

export interface Block {
  /** One character that says what the block stands for. */
  type: string;
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeSeconds: number;
  link: string;
}

/** @param block names that are too long are cut */
export function encodeBlock(block: Block): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const put = (text: string, at: number) => bytes.set(bytesOf(text), at);
  const putNumber = (value: number, at: number, length: number) =>
    put(`${value.toString(8).padStart(length - 1, "0")}\0`, at);
  put(block.name.slice(0, NAME_BYTES), 0);
  putNumber(block.mode, 100, 8);
  putNumber(block.uid, 108, 8);
  putNumber(block.gid, 116, 8);
  putNumber(block.size, 124, 12);
  putNumber(block.mtimeSeconds, 136, 12);
  put(block.type, 156);
  put(block.link.slice(0, NAME_BYTES), 157);
  put(MAGIC, MAGIC_AT);
  put(`${checksumOf(bytes).toString(8).padStart(6, "0")}\0 `, CHECKSUM_AT);
  return bytes;
}

/** Undefined for what is no block of a tar archive as orchd writes them, or was altered. */
export function decodeBlock(bytes: Uint8Array): Block | undefined {
  return magicOf(bytes) === MAGIC ? decodeFields(bytes) : undefined;
}

/** As `decodeBlock`, of archives that other programs wrote: POSIX.1-1988 and GNU. */
export function decodeForeignBlock(bytes: Uint8Array): Block | undefined {
  const magic = magicOf(bytes);
  if (magic !== MAGIC && magic !== GNU_MAGIC) return undefined;
  const block = decodeFields(bytes.slice());
  if (block === undefined || magic !== MAGIC) return block;
  const prefix = textIn(byteStringOf(bytes.subarray(PREFIX_AT, PREFIX_AT + PREFIX_BYTES)));
  return prefix === "" ? block : { ...block, name: `${prefix}/${block.name}` };
}

function magicOf(bytes: Uint8Array): string {
  return byteStringOf(bytes.subarray(MAGIC_AT, MAGIC_AT + MAGIC.length));
}

function decodeFields(bytes: Uint8Array): Block | undefined {
  const field = (at: number, length: number) => byteStringOf(bytes.subarray(at, at + length));
  if (numberIn(field(CHECKSUM_AT, CHECKSUM_BYTES)) !== checksumOf(bytes)) return undefined;
  const numbers = {
    mode: numberIn(field(100, 8)),
    uid: numberIn(field(108, 8)),
    gid: numberIn(field(116, 8)),
    size: sizeIn(bytes.subarray(124, 136)),
    mtimeSeconds: numberIn(field(136, 12)),
  };
  const { mode, uid, gid, size, mtimeSeconds } = numbers;
  if (mode === undefined || uid === undefined || gid === undefined) return undefined;
  if (size === undefined || mtimeSeconds === undefined) return undefined;
  const name = textIn(field(0, NAME_BYTES));
  const link = textIn(field(157, NAME_BYTES));
  return { type: field(156, 1), name, mode, uid, gid, size, mtimeSeconds, link };
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** How many zeros follow so much content. */
export function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

/** The sum of all bytes, with blanks where the sum stands. */
function checksumOf(bytes: Uint8Array): number {
  let sum = CHECKSUM_BYTES * 0x20;
  for (let i = 0; i < BLOCK_BYTES; i++) {
    if (i < CHECKSUM_AT || i >= CHECKSUM_AT + CHECKSUM_BYTES) sum += bytes[i] ?? 0;
  }
  return sum;
}

/** Of what is larger than digits can say, the lowest six bytes; more is no size of a file. */
function sizeIn(field: Uint8Array): number | undefined {
  if (field[0] !== BINARY_MARK) return numberIn(byteStringOf(field));
  if (field.subarray(1, 6).some((byte) => byte !== 0)) return undefined;
  return field.subarray(6).reduce((sum, byte) => sum * 256 + byte, 0);
}

function textIn(field: string): string {
  const end = field.indexOf("\0");
  return end < 0 ? field : field.slice(0, end);
}

function numberIn(field: string): number | undefined {
  const [, digits] = /^([0-7]+)[\0 ]+$/.exec(field) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}
