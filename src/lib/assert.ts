/**
 * Crash on a state that cannot happen. For programming errors only: packets, requests, files and
 * stored rows are validated, never asserted.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** The end of a `switch` over a closed union; the compiler proves that it is not reached. */
export function assertNever(value: never): never {
  throw new Error(`assertion failed: unexpected value ${JSON.stringify(value)}`);
}
