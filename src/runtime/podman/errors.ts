import { z } from "zod";
import { OrchdError, type ErrorCode } from "../../lib/errors.ts";

const errorReplySchema = z.object({
  message: z.string(),
  cause: z.string().default(""),
});

const MESSAGE_LENGTH_MAX = 400;

/** An error reply of Podman as one sentence with a code that the rest of orchd understands. */
export function classifyReply(status: number, text: string, program = "Podman"): OrchdError {
  const { message, cause } = parseErrorReply(text, program);
  const code = codeOf(status, `${message} ${cause}`);
  return new OrchdError(code, sentenceOf(message), { retryable: code === "unreachable" });
}

/** Podman does not answer: it is not there, is starting again, or hangs. */
export function noAnswer(
  socketPath: string,
  program = "Podman",
  cause?: unknown,
  detail?: string,
): OrchdError {
  const why = detail === undefined ? "" : ` (${detail})`;
  const message = `${program} does not answer on ${socketPath}${why}; is its service running?`;
  return new OrchdError("unreachable", message, { retryable: true, cause });
}

export function damagedReply(path: string, cause: unknown, program = "Podman"): OrchdError {
  const where = path.split("?")[0];
  return new OrchdError("runtime", `${program}'s reply to ${where} makes no sense`, { cause });
}

function parseErrorReply(text: string, program: string): { message: string; cause: string } {
  try {
    const parsed = errorReplySchema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Not JSON: whatever came is told as it is.
  }
  return { message: text.trim() === "" ? `${program} failed without a reason` : text, cause: "" };
}

function codeOf(status: number, text: string): ErrorCode {
  if (/no space left on device|disk quota exceeded/i.test(text)) return "noSpace";
  if (/image not known|no such (container|image|volume|network)/i.test(text)) return "notFound";
  if (/already in use|already exists|being used/i.test(text)) return "conflict";
  if (status === 404) return "notFound";
  if (status === 409) return "conflict";
  if (status === 503) return "unreachable";
  return "runtime";
}

/** Known failures with what they mean for people; the first match counts. */
const KNOWN: readonly (readonly [RegExp, (match: RegExpMatchArray) => string])[] = [
  [
    /exec: "([^"]*)": executable file not found|executable file [`'"]([^`'"]*)[`'"] not found/,
    (m) => `the command "${m[1] ?? m[2]}" was not found in the image`,
  ],
  [
    /exec: "([^"]*)": (?:stat [^:]*: )?no such file or directory/,
    (m) => `the command "${m[1]}" was not found in the image`,
  ],
  [
    /exec: "([^"]*)": permission denied|open executable: Permission denied/i,
    (m) =>
      m[1] === undefined
        ? "the command can't be executed"
        : `the command "${m[1]}" can't be executed; is it a directory?`,
  ],
  [
    /exec format error/i,
    () => "the image's command is made for another kind of processor than this node's",
  ],
  [
    /unable to find (user|group) ([^:]+): no matching entries/,
    (m) => `the ${m[1]} "${m[2]}" does not exist in the image`,
  ],
  [
    /workdir "([^"]*)" does not exist|chdir to cwd \("([^"]*)"\)/,
    (m) => `the working directory "${m[1] ?? m[2]}" does not exist in the image`,
  ],
  [
    /statfs ([^:]+): no such file or directory/,
    (m) => `the mounted path ${m[1]} does not exist on the node`,
  ],
  [
    /bind source path does not exist: (\S+)/,
    (m) => `the mounted path ${m[1]} does not exist on the node`,
  ],
  [
    /stat (\/dev\/[^:]+): no such file or directory|custom device "(\/dev\/[^"]+)": no such file/,
    (m) => `the device ${m[1] ?? m[2]} does not exist on the node`,
  ],
  [
    /container-init binary not found/,
    () => "`init: true` needs catatonit on the node (Debian: apt install catatonit)",
  ],
  [
    /setting rlimit type \d+: operation not permitted|RLIMIT_\w+.*operation not permitted/i,
    () => "a ulimit of the container is above what Podman may set on the node",
  ],
  [
    /no command or entrypoint provided|no command specified/i,
    () => "the image has no command of its own and the service gives none",
  ],
  [
    /can only create exec sessions on running containers|^Container \w+ is not running/,
    () => "the container does not run, so nothing can be run in it",
  ],
  [/no space left on device/i, () => "the node's disk is full"],
  [
    /ip address ([0-9a-f.:]+) is already allocated/i,
    (m) => `the address ${m[1]} is taken on the node's network`,
  ],
];

/** Parts of Podman's chains that say nothing to anyone. */
const NOISE: readonly RegExp[] = [
  /^OCI runtime error$/i,
  /^OCI permission denied$/i,
  /^OCI runtime attempted to invoke/i,
  /^(runc|crun)$/i,
  /^runc create failed$/i,
  /^exec failed$/i,
  /^unable to start container process$/i,
  /^error during container init$/i,
  /^creating container storage$/i,
];

/** The part of an error chain that a person can act on, without its wrapping. */
export function sentenceOf(message: string): string {
  for (const [pattern, tell] of KNOWN) {
    const match = message.match(pattern);
    if (match !== null) return tell(match);
  }
  const parts = message
    .replace(/\s+/g, " ")
    .split(": ")
    .map((part) => part.trim());
  const useful = parts.filter(
    (part, i) =>
      part !== "" && !NOISE.some((pattern) => pattern.test(part)) && part !== parts[i - 1],
  );
  const text = useful.length === 0 ? message.trim() : useful.join(": ");
  const short = text.length > MESSAGE_LENGTH_MAX ? `${text.slice(0, MESSAGE_LENGTH_MAX)}…` : text;
  return short.replace(/\.$/, "");
}
