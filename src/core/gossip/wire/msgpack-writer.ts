/**
 * Writes msgpack as memberlist's codec does (hashicorp/go-msgpack, MsgpackHandle without WriteExt):
 * the format of before 2013, in which texts and bytes are one type and have no 8-bit length.
 */
export class MsgpackWriter {
  private bytes = new Uint8Array(128);
  private used = 0;
  private readonly texts = new TextEncoder();

  finish(): Uint8Array {
    return this.bytes.slice(0, this.used);
  }

  /** One byte as it is, outside of msgpack: a message's type. */
  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.used++] = value;
  }

  /** Bytes as they are, outside of msgpack. */
  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.used);
    this.used += value.length;
  }

  map(entries: number): void {
    this.header(entries, { fixed: 0x80, fixedBelow: 16, wide: 0xde });
  }

  array(items: number): void {
    this.header(items, { fixed: 0x90, fixedBelow: 16, wide: 0xdc });
  }

  nil(): void {
    this.byte(0xc0);
  }

  bool(value: boolean): void {
    this.byte(value ? 0xc3 : 0xc2);
  }

  /** @param value a whole number from 0 to 2^53 − 1 */
  uint(value: number): void {
    if (value < 0x80) this.byte(value);
    else if (value < 0x100) this.tagged(0xcc, value, 1);
    else if (value < 0x1_0000) this.tagged(0xcd, value, 2);
    else if (value < 0x1_0000_0000) this.tagged(0xce, value, 4);
    else this.tagged(0xcf, value, 8);
  }

  text(value: string): void {
    this.bin(this.texts.encode(value));
  }

  bin(value: Uint8Array): void {
    this.header(value.length, { fixed: 0xa0, fixedBelow: 32, wide: 0xda });
    this.raw(value);
  }

  /** As Go writes a slice that was never set: nil when it is empty. */
  optionalBin(value: Uint8Array): void {
    if (value.length === 0) this.nil();
    else this.bin(value);
  }

  private header(length: number, kind: { fixed: number; fixedBelow: number; wide: number }): void {
    if (length < kind.fixedBelow) this.byte(kind.fixed | length);
    else if (length < 0x1_0000) this.tagged(kind.wide, length, 2);
    else this.tagged(kind.wide + 1, length, 4);
  }

  /** A tag and a big-endian number. */
  private tagged(tag: number, value: number, width: number): void {
    this.reserve(1 + width);
    this.bytes[this.used++] = tag;
    for (let at = width - 1, rest = value; at >= 0; at--) {
      this.bytes[this.used + at] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.used += width;
  }

  private reserve(count: number): void {
    if (this.used + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.used + count));
    grown.set(this.bytes.subarray(0, this.used));
    this.bytes = grown;
  }
}
