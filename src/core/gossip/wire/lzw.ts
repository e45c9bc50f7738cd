/**
 * LZW as memberlist compresses with it: Go's compress/lzw with 8-bit literals, least significant
 * bits first. Codes are 9 to 12 bits wide; when all are used up, the writer clears the table.
 */
const CLEAR = 256;
const END = 257;
const FIRST_WIDTH = 9;
const LAST_WIDTH = 12;
const CODES = 1 << LAST_WIDTH;
const NONE = -1;

/** @returns the packed bytes, which end by themselves */
export function lzwPack(input: Uint8Array): Uint8Array {
  const out = new BitWriter(input.length);
  let table = new Map<number, number>();
  let width = FIRST_WIDTH;
  let highest = END;
  let prefix = NONE;
  const write = (code: number): boolean => {
    out.write(code, width);
    highest++;
    if (highest === 1 << width) width++;
    if (highest < CODES - 1) return true;
    out.write(CLEAR, width);
    table = new Map();
    width = FIRST_WIDTH;
    highest = END;
    return false;
  };
  out.write(CLEAR, width);
  for (const byte of input) {
    const key = prefix * 256 + byte;
    const known = prefix === NONE ? byte : table.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    if (write(prefix)) table.set(key, highest);
    prefix = byte;
  }
  if (prefix !== NONE) write(prefix);
  out.write(END, width);
  return out.finish();
}

/**
 * @param bytesMax what the unpacked bytes may come to; no more is ever held
 * @returns the unpacked bytes, or why not
 */
export function lzwUnpack(
  input: Uint8Array,
  bytesMax: number,
): Uint8Array | "badCompression" | "tooLarge" {
  const bits = new BitReader(input);
  const out = new Unpacked(bytesMax);
  // Of each code: what all but its last byte are, that byte, and how many bytes it stands for.
  const prefixes = new Uint16Array(CODES);
  const suffixes = new Uint8Array(CODES);
  const lengths = new Uint16Array(CODES).fill(1, 0, CLEAR);
  let width = FIRST_WIDTH;
  let next = END;
  let last = NONE;
  for (;;) {
    const code = bits.read(width);
    if (code === undefined) return "badCompression";
    if (code === END) return out.finish();
    if (code === CLEAR) {
      width = FIRST_WIDTH;
      next = END;
      last = NONE;
      continue;
    }
    // The code that is only now being defined: the last one and its own first byte again.
    const isNew = code === next && last !== NONE;
    if (code > next) return "badCompression";
    const whole = isNew ? last : code;
    const length = lengths[whole] ?? 0;
    if (!out.reserve(isNew ? length + 1 : length)) return "tooLarge";
    const first = out.expand(whole, length, prefixes, suffixes);
    if (isNew) out.push(first);
    if (last !== NONE) {
      prefixes[next] = last;
      suffixes[next] = first;
      lengths[next] = (lengths[last] ?? 0) + 1;
    }
    last = code;
    next++;
    if (next < 1 << width) continue;
    if (width < LAST_WIDTH) width++;
    else {
      // Every code is used; the table stays as it is until it is cleared.
      next--;
      last = NONE;
    }
  }
}

class Unpacked {
  private bytes = new Uint8Array(1024);
  private used = 0;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  /** Makes room. @returns false when it would be more than is allowed */
  reserve(count: number): boolean {
    const wanted = this.used + count;
    if (wanted > this.bytesMax) return false;
    if (wanted > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, wanted));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    return true;
  }

  push(byte: number): void {
    this.bytes[this.used++] = byte;
  }

  /** Writes what a code stands for, last byte first. @returns the first byte */
  expand(code: number, length: number, prefixes: Uint16Array, suffixes: Uint8Array): number {
    let at = code;
    for (let i = this.used + length - 1; i > this.used; i--) {
      this.bytes[i] = suffixes[at] ?? 0;
      at = prefixes[at] ?? 0;
    }
    this.bytes[this.used] = at;
    this.used += length;
    return at;
  }
}

class BitReader {
  private readonly input: Uint8Array;
  private at = 0;
  private bits = 0;
  private count = 0;

  constructor(input: Uint8Array) {
    this.input = input;
  }

  read(width: number): number | undefined {
    while (this.count < width) {
      if (this.at >= this.input.length) return undefined;
      this.bits |= (this.input[this.at++] ?? 0) << this.count;
      this.count += 8;
    }
    const value = this.bits & ((1 << width) - 1);
    this.bits >>>= width;
    this.count -= width;
    return value;
  }
}

class BitWriter {
  private readonly bytes: Uint8Array;
  private used = 0;
  private bits = 0;
  private count = 0;

  /** @param inputLength no byte takes more than 12 bits; clear and end codes come on top */
  constructor(inputLength: number) {
    this.bytes = new Uint8Array(Math.ceil(inputLength * 1.51) + 16);
  }

  write(code: number, width: number): void {
    this.bits |= code << this.count;
    this.count += width;
    for (; this.count >= 8; this.count -= 8) {
      this.bytes[this.used++] = this.bits & 0xff;
      this.bits >>>= 8;
    }
  }

  finish(): Uint8Array {
    if (this.count > 0) this.bytes[this.used++] = this.bits & 0xff;
    return this.bytes.slice(0, this.used);
  }
}
