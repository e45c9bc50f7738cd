const CR = 13;
const LF = 10;
const SEMICOLON = 59;
/** Digits of a chunk's size: 4 PiB less one byte. */
const SIZE_DIGITS_MAX = 13;
const EXTENSION_BYTES_MAX = 256;
const TRAILER_BYTES_MAX = 16 * 1024;

const enum At {
  Size,
  Extension,
  SizeEnd,
  Data,
  DataCr,
  DataLf,
  TrailerStart,
  Trailer,
  TrailerLf,
  EndLf,
  Done,
  Broken,
}

/**
 * Follows a chunked body (RFC 9112, section 7.1) as it goes by, so that its end is known. Chunks
 * go on as they are; the trailer section does not: whoever passes the body on ends it by an empty
 * line. All that two parsers could take differently is refused.
 */
export class ChunkScanner {
  #at = At.Size;
  #size = 0;
  #digits = 0;
  #left = 0;
  #line = 0;
  /** Bytes of the body itself, without what is around them. */
  dataBytes = 0;
  /** Of the bytes that were scanned last, how many from their beginning go on as they are. */
  passed = 0;
  /** Of the same bytes, how many belong to the body; all of them while it has not ended. */
  consumed = 0;

  get isDone(): boolean {
    return this.#at === At.Done;
  }

  get isBroken(): boolean {
    return this.#at === At.Broken;
  }

  scan(bytes: Uint8Array): void {
    let i = 0;
    this.passed = 0;
    while (i < bytes.length && this.#at < At.Done) {
      if (this.#at === At.Data) {
        const step = Math.min(this.#left, bytes.length - i);
        this.#left -= step;
        i += step;
        if (this.#left === 0) this.#at = At.DataCr;
      } else {
        this.#at = this.#next(bytes[i] ?? 0);
        i += 1;
      }
      if (this.#at < At.TrailerStart) this.passed = i;
      // The line of the last chunk, whose size is zero, goes on as well.
      else if (this.#at === At.TrailerStart && this.#line === 0) this.passed = i;
    }
    this.consumed = i;
  }

  #next(byte: number): At {
    switch (this.#at) {
      case At.Size:
        return this.#digit(byte);
      case At.Extension:
        return this.#extension(byte);
      case At.SizeEnd:
        return byte === LF ? this.#begin() : At.Broken;
      case At.DataCr:
        return byte === CR ? At.DataLf : At.Broken;
      case At.DataLf:
        return byte === LF ? At.Size : At.Broken;
      case At.TrailerStart:
        if (byte === CR) return At.EndLf;
        return this.#trailer(byte);
      case At.Trailer:
        return byte === CR ? At.TrailerLf : this.#trailer(byte);
      case At.TrailerLf:
        return byte === LF ? At.TrailerStart : At.Broken;
      case At.EndLf:
        return byte === LF ? At.Done : At.Broken;
      default:
        return At.Broken;
    }
  }

  #digit(byte: number): At {
    const digit = digitOf(byte);
    if (digit >= 0 && this.#digits < SIZE_DIGITS_MAX) {
      this.#size = this.#size * 16 + digit;
      this.#digits += 1;
      return At.Size;
    }
    if (this.#digits === 0) return At.Broken;
    if (byte === CR) return At.SizeEnd;
    if (byte !== SEMICOLON) return At.Broken;
    this.#line = 0;
    return At.Extension;
  }

  #extension(byte: number): At {
    if (byte === CR) return At.SizeEnd;
    return isText(byte) && ++this.#line <= EXTENSION_BYTES_MAX ? At.Extension : At.Broken;
  }

  #begin(): At {
    const size = this.#size;
    this.#size = 0;
    this.#digits = 0;
    this.#line = 0;
    this.#left = size;
    this.dataBytes += size;
    return size === 0 ? At.TrailerStart : At.Data;
  }

  #trailer(byte: number): At {
    return isText(byte) && ++this.#line <= TRAILER_BYTES_MAX ? At.Trailer : At.Broken;
  }
}

function digitOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  if (byte >= 97 && byte <= 102) return byte - 87;
  return byte >= 65 && byte <= 70 ? byte - 55 : -1;
}

/** Anything but control characters; a tab is text. */
function isText(byte: number): boolean {
  return byte === 9 || (byte >= 32 && byte !== 127);
}
