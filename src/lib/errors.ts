/** Every code that an operating error can carry, with its HTTP status and its exit code. */
const CODES = {
  invalid: { http: 400, exit: 1 },
  unauthorized: { http: 401, exit: 1 },
  forbidden: { http: 403, exit: 1 },
  /** The node is not one of the cluster any more. */
  removed: { http: 403, exit: 1 },
  /** The node's certificate is to be renewed first. */
  certificateExpired: { http: 403, exit: 1 },
  notFound: { http: 404, exit: 1 },
  conflict: { http: 409, exit: 1 },
  gone: { http: 410, exit: 1 },
  tooLarge: { http: 413, exit: 1 },
  /** Secrets can't be opened before the server was unlocked. */
  locked: { http: 423, exit: 1 },
  usage: { http: 400, exit: 2 },
  unreachable: { http: 503, exit: 3 },
  timedOut: { http: 504, exit: 4 },
  noSpace: { http: 507, exit: 1 },
  damaged: { http: 500, exit: 1 },
  runtime: { http: 502, exit: 1 },
  internal: { http: 500, exit: 1 },
} as const;

export type ErrorCode = keyof typeof CODES;

/** An operating error: classified once, at the edge, and told in one sentence. */
export class OrchdError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;

  /**
   * @param message one sentence that says what is wrong and what to do; never repeats its cause
   * @param options.retryable whether the same call may succeed later though nobody changes anything
   */
  constructor(
    code: ErrorCode,
    message: string,
    options: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OrchdError";
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(CODES, text);
}

export function httpStatusOf(code: ErrorCode): number {
  return CODES[code].http;
}

export function exitCodeOf(code: ErrorCode): number {
  return CODES[code].exit;
}

/** The message of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A message with its chain of causes, outermost first, for logs and the command line. */
export function messageChainOf(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at !== undefined && parts.length < 8;) {
    parts.push(messageOf(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(": ");
}

/** The system's error code (`ENOSPC`, `EADDRINUSE` …) of anything thrown, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
