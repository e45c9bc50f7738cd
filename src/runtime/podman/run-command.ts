import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { CommandOptions, CommandResult } from "../driver.ts";
import { sentenceOf } from "./errors.ts";
import { OutputTail } from "./output-tail.ts";
import { endGroup, endMarked, endSession } from "./process-group.ts";

const LEFT_BEHIND_CHECK_MS = 250;
/** What a background process of the command may still print when the command itself has ended. */
const AFTERWORD_MS = 50;

export interface CommandTarget {
  /** The OCI runtime's executable. */
  runtime: string;
  /** What stands before its command, such as where it keeps its state. */
  flags?: readonly string[];
  containerId: string;
  /** Where the command's process id is written: a file that is gone afterwards. */
  pidFile: string;
}

let commands = 0;

/** A name for a file of one command, under the directory of sockets, which lies in memory. */
export function nextPidFile(runDir: string): string {
  commands += 1;
  return join(runDir, `command-${process.pid}-${commands}.pid`);
}

/** The variable of a command by which all that it starts is known, in whatever session it is. */
export const COMMAND_VARIABLE = "ORCHD_COMMAND";

/**
 * Runs a command in a container by the OCI runtime itself, with the environment, user and limits of
 * the container's own process. Podman's way would leave two monitor processes for five minutes and
 * write to its database on disk, each time.
 * @throws OrchdError `runtime` when it can't be tried, which says nothing of the command
 */
export function runCommand(
  { runtime, flags = [], containerId, pidFile }: CommandTarget,
  command: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const id = randomUUID();
  const how = ["--pid-file", pidFile, "--env", `${COMMAND_VARIABLE}=${id}`];
  const words = [runtime, ...flags, "exec", ...how, containerId, ...command];
  const env = { PATH: process.env["PATH"] ?? "" };
  return followCommand({ words, env, id, pidFile, ownSession: false }, options);
}

export interface FollowedCommand {
  words: readonly string[];
  env: Record<string, string>;
  /** What the command has in its `COMMAND_VARIABLE`. */
  id: string;
  /** Where its id is, once it runs. */
  pidFile: string;
  /** Whether it is to begin a session; false where it does so by itself. */
  ownSession: boolean;
}

/** Runs a command to its end, and ends all that it has started and left behind. */
export async function followCommand(
  { words, env, id, pidFile, ownSession }: FollowedCommand,
  { signal, outputBytesMax }: CommandOptions,
): Promise<CommandResult> {
  const child = Bun.spawn([...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
    detached: ownSession,
  });
  const tail = new OutputTail(outputBytesMax);
  let gaveUp: CommandResult["end"] | undefined;
  const end = (why: CommandResult["end"]) => {
    gaveUp ??= why;
    // Held still first, or it would tell of the end of what it has started.
    if (ownSession) child.kill("SIGSTOP");
    endSession(child.pid);
    child.kill("SIGKILL");
  };
  const onAbort = () => end("timedOut");
  /** What it left in the background would be one process more at each check. */
  const endLeft = (pid: number) => {
    endGroup(pid);
    return endMarked(`${COMMAND_VARIABLE}=${id}`, child.pid);
  };
  const watch = setInterval(() => void whenEnded(pidFile, endLeft), LEFT_BEHIND_CHECK_MS);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  const onFlood = () => end("flooded");
  const streams = [child.stdout, child.stderr].map((stream) => follow(stream, tail, onFlood));
  try {
    const exitCode = await child.exited;
    const pid = readPid(pidFile);
    if (pid !== undefined) await endLeft(pid);
    await Promise.race([Promise.all(streams.map(({ done }) => done)), Bun.sleep(AFTERWORD_MS)]);
    if (gaveUp !== undefined) return { end: gaveUp, output: tail.text() };
    if (pid === undefined) return notStarted(tail.text());
    return { end: "exited", exitCode, output: tail.text() };
  } finally {
    clearInterval(watch);
    signal.removeEventListener("abort", onAbort);
    rmSync(pidFile, { force: true });
    for (const stream of streams) stream.cancel();
  }
}

/** The runtime has made no process: the command is at fault, or the container is not there. */
function notStarted(output: string): CommandResult {
  if (/container .*does not exist|stopped container|not running/i.test(output)) {
    throw new OrchdError("runtime", `nothing can be run in the container: ${sentenceOf(output)}`);
  }
  // The runtime logs its errors, with quotes within quotes.
  return { end: "notStarted", output: sentenceOf(output.replaceAll('\\"', '"')) };
}

/** The runtime waits for whoever still has the command's output open, when that has ended. */
async function whenEnded(pidFile: string, endLeft: (pid: number) => Promise<void>): Promise<void> {
  const pid = readPid(pidFile);
  if (pid !== undefined && !existsSync(`/proc/${pid}`)) await endLeft(pid);
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    // Not written, or not yet: the command was not started.
    return undefined;
  }
}

/** Reads a stream to its end, or to the flood. */
function follow(stream: ReadableStream<Uint8Array>, tail: OutputTail, onFlood: () => void) {
  const reader = stream.getReader();
  const read = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      tail.add(next.value);
      if (tail.isFlooded) return onFlood();
    }
  };
  const done = read().catch(() => {
    // It was cancelled, or broke with the command: what came before is kept.
  });
  return { done, cancel: () => void reader.cancel().catch(() => {}) };
}
