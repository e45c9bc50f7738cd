import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const TIMEOUT_MS = 10_000;

export interface ProgramOutput {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A program of the machine that this one can't do without. */
export interface Program {
  name: string;
  /** What is not done without it and how to get it: ends `NAME is not installed, `. */
  whatFor: string;
}

/**
 * Runs a program to its end without a shell; it is killed when it takes longer than 10 s.
 * @throws OrchdError `runtime` when it is not installed; how it ended is the caller's business
 */
export async function runProgram(
  { name, whatFor }: Program,
  words: readonly string[],
  input = "",
): Promise<ProgramOutput> {
  let child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  try {
    child = Bun.spawn([name, ...words], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      timeout: TIMEOUT_MS,
    });
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw cause;
    throw new OrchdError("runtime", `${name} is not installed, ${whatFor}`, { cause });
  }
  // A program that has ended before it read everything tells why by its exit code.
  const written = writeAll(child, input);
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    written,
  ]);
  return { exitCode, stdout, stderr };
}

async function writeAll(child: Bun.Subprocess<"pipe", "pipe", "pipe">, input: string) {
  try {
    await child.stdin.write(input);
    await child.stdin.end();
  } catch (error) {
    if (systemCodeOf(error) !== "EPIPE") throw error;
  }
}

/** The first line of what a program complained of. */
export function complaintOf({ stderr }: ProgramOutput): string {
  return stderr.split("\n", 1)[0]?.trim() ?? "";
}
