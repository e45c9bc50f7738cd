/**
 * The 4 or 16 bytes of an IP address; an IPv6 address that stands for an IPv4 one gives 4, so that
 * one machine has one address.
 * @returns undefined when the text is no IP address, or one with a zone
 */
export function bytesOfHost(host: string): Uint8Array | undefined {
  if (!host.includes(":")) return bytesOfIpv4(host);
  const bytes = bytesOfIpv6(host);
  return bytes !== undefined && isMappedIpv4(bytes) ? bytes.subarray(12) : bytes;
}

/** Addresses that begin with the same bits. */
export interface IpRange {
  bytes: Uint8Array;
  /** How many bits count. */
  prefix: number;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address; undefined when it is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const [host = "", length, ...more] = text.split("/");
  const bytes = bytesOfHost(host);
  if (bytes === undefined || more.length > 0) return undefined;
  const bits = bytes.length * 8;
  if (length === undefined) return { bytes, prefix: bits };
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : bits + 1;
  return prefix <= bits ? { bytes, prefix } : undefined;
}

/** Whether the address lies in the range; no text that is no address does. */
export function isInRange(host: string, { bytes, prefix }: IpRange): boolean {
  const address = bytesOfHost(host);
  if (address === undefined || address.length !== bytes.length) return false;
  for (let i = 0, left = prefix; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : 0xff & (0xff << (8 - left));
    if (((address[i] ?? 0) & mask) !== ((bytes[i] ?? 0) & mask)) return false;
  }
  return true;
}

function bytesOfIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const values = parts.map(Number);
  return values.every((value) => value < 256) ? Uint8Array.from(values) : undefined;
}

function bytesOfIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = wordsOf(halves[0] ?? "", halves.length === 1);
  const tail = wordsOf(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const words = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** The 16-bit words of one side of `::`; a dotted IPv4 address at the very end is two of them. */
function wordsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const words: number[] = [];
  for (const part of text.split(":")) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      words.push(Number.parseInt(part, 16));
      continue;
    }
    const dotted = isEnd && text.endsWith(part) ? bytesOfIpv4(part) : undefined;
    if (dotted === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = dotted;
    words.push(a * 256 + b, c * 256 + d);
  }
  return words;
}

/** Whether an IPv6 address stands for an IPv4 one. */
export function isMappedIpv4(bytes: Uint8Array): boolean {
  return (
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  );
}

/** The 16 bytes as text, as RFC 5952 says. */
export function textOfIpv6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => wordAt(bytes, i));
  const zeros = longestZeros(words);
  const hex = (from: number, to: number) =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(":");
  if (zeros.length < 2) return hex(0, 8);
  return `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length, 8)}`;
}

function wordAt(bytes: Uint8Array, index: number): number {
  return (bytes[2 * index] ?? 0) * 256 + (bytes[2 * index + 1] ?? 0);
}

/** The first of the longest runs of zero words. */
function longestZeros(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < words.length; start++) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
