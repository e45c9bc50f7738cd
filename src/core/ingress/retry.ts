/** Tries after the first one. */
export const RETRIES_MAX = 2;

/** RFC 9110, section 9.2.2: sending it twice has the same effect as sending it once. */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export interface FailedTry {
  method: string;
  hasBody: boolean;
  /** Whether any of the request may have reached the service. */
  wasSent: boolean;
  /** Whether any of the answer has come. */
  hasAnswer: boolean;
  /** Tries before this one. */
  retries: number;
}

/**
 * Whether the request may go to another endpoint. One that was never sent may, whatever it is; one
 * that was sent may if it is idempotent and nothing of it has been used up.
 */
export function mayRetry({ method, hasBody, wasSent, hasAnswer, retries }: FailedTry): boolean {
  if (hasAnswer || retries >= RETRIES_MAX) return false;
  return !wasSent || (!hasBody && IDEMPOTENT.has(method));
}
