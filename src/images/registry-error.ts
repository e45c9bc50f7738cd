import { httpStatusOf, OrchdError } from "../lib/errors.ts";

/** Codes of the OCI distribution specification 1.1, with their usual status. */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  DENIED: 403,
  UNSUPPORTED: 405,
  RANGE_INVALID: 416,
} as const;

type RegistryCode = keyof typeof STATUS;

/** What a registry refuses: a code of the specification, and a sentence. */
export class RegistryError extends Error {
  readonly code: RegistryCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: RegistryCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "RegistryError";
    this.code = code;
    this.headers = headers;
  }
}

/** The answer to a request that failed, whatever was thrown. */
export function registryProblem(error: unknown, onUnexpected: (error: unknown) => void): Response {
  if (error instanceof RegistryError) {
    const { code, message, headers } = error;
    return Response.json({ errors: [{ code, message }] }, { status: STATUS[code], headers });
  }
  if (!(error instanceof OrchdError)) onUnexpected(error);
  const known = error instanceof OrchdError ? error : undefined;
  const status = known === undefined ? 500 : httpStatusOf(known.code);
  const message = known?.message ?? "the registry failed: see the log of orchd";
  const code = status === 413 ? "SIZE_INVALID" : "UNKNOWN";
  return Response.json({ errors: [{ code, message }] }, { status });
}
