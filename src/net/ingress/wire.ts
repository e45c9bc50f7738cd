/** A connection, as little of it as passing requests on needs. */
export interface Wire {
  readonly remoteAddress: string;
  /** Bytes that were written and have not gone out. */
  readonly waiting: number;
  /** Takes all of it; answers false when it is more than goes out now, and `onDrain` follows. */
  write(bytes: Uint8Array): boolean;
  /** Says that nothing more comes, once what was written has gone; the other side may go on. */
  end(): void;
  /** Ends both ways at once; what was not sent is lost. `onClose` follows. */
  destroy(): void;
  /** Reads no more until `resume`. */
  pause(): void;
  resume(): void;
}

export interface WireHandler {
  onData(bytes: Buffer): void;
  /** All that was written has gone out, after a time when it had not. */
  onDrain(): void;
  /** The other side says that nothing more comes. */
  onEnd(): void;
  /** Comes once, and last. */
  onClose(): void;
}

/** An IPv4 address as people write it, also where it comes as one of IPv6. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
