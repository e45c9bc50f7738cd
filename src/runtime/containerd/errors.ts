import { OrchdError, type ErrorCode } from "../../lib/errors.ts";
import { sentenceOf } from "../podman/errors.ts";

/** Codes of gRPC, doc/statuscodes.md of its repository. */
const STATUS = {
  cancelled: 1,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  unavailable: 14,
} as const;

/** A failed call of containerd as one sentence with a code that the rest of orchd understands. */
export function classifyFailure(
  { code, details }: { code: number; details: string },
  socketPath: string,
): OrchdError {
  if (code === STATUS.unavailable || code === STATUS.cancelled) {
    return noAnswer(socketPath, details);
  }
  if (code === STATUS.deadlineExceeded) return noAnswer(socketPath, "it took too long");
  if (code === STATUS.unimplemented) {
    const message = `what answers on ${socketPath} is not containerd, or one older than 1.6`;
    return new OrchdError("runtime", message);
  }
  const text = details === "" ? "containerd failed without a reason" : details;
  return new OrchdError(codeOf(code, text), toldOf(text), { cause: new Error(text) });
}

/** containerd is not there, is starting again, or hangs. */
export function noAnswer(socketPath: string, detail?: string): OrchdError {
  const why = detail === undefined || detail === "" ? "" : ` (${detail})`;
  const message = `containerd does not answer on ${socketPath}${why}; is its service running?`;
  return new OrchdError("unreachable", message, { retryable: true });
}

export function isCode(error: unknown, code: ErrorCode): error is OrchdError {
  return error instanceof OrchdError && error.code === code;
}

function codeOf(code: number, text: string): ErrorCode {
  if (/no space left on device|disk quota exceeded/i.test(text)) return "noSpace";
  if (code === STATUS.notFound) return "notFound";
  if (code === STATUS.alreadyExists || code === STATUS.aborted) return "conflict";
  if (code === STATUS.failedPrecondition) return "conflict";
  return "runtime";
}

/** The words of containerd's chain that say nothing to anyone stand in front. */
const WRAPPING =
  /^(?:failed to create task for container|failed to create shim task|failed to start shim): /;

function toldOf(text: string): string {
  let rest = text;
  while (WRAPPING.test(rest)) rest = rest.replace(WRAPPING, "");
  if (/process (?:already finished|not found)|no running task/i.test(rest)) {
    return "the container does not run";
  }
  return sentenceOf(rest.replaceAll('\\"', '"'));
}
