import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { CommandOptions, CommandResult } from "../driver.ts";
import { sentenceOf } from "../podman/errors.ts";
import { FrameReader } from "../podman/frames.ts";
import type { PodmanHttp } from "../podman/http.ts";
import { OutputTail } from "../podman/output-tail.ts";
import { endGroup, endMarked, endSession } from "../podman/process-group.ts";
import { COMMAND_VARIABLE } from "../podman/run-command.ts";
import { waitFor } from "../podman/wait-for.ts";

const createdSchema = z.object({ Id: z.string() });
const inspectedSchema = z.object({
  Running: z.boolean(),
  ExitCode: z.number().nullish(),
  Pid: z.number(),
});
type ExecState = z.infer<typeof inspectedSchema>;

const LOOK_MS = 20;
const LEFT_BEHIND_CHECK_MS = 250;
const END_TIMEOUT_MS = 10_000;
/** How Docker tells, among the output, that the command could not be run. */
const NOT_STARTED = /^OCI runtime exec failed: |^unable to start|^exec failed/;

/**
 * Runs a command in a container to its end, and ends all that it has started and left behind. The
 * command is a process of this machine, which Docker names; Docker itself can't end one.
 * @throws OrchdError `runtime` when it can't be tried, which says nothing of the command
 */
export async function runInContainer(
  http: PodmanHttp,
  clock: Clock,
  containerId: string,
  command: readonly string[],
  { signal, outputBytesMax }: CommandOptions,
): Promise<CommandResult> {
  const mark = `${COMMAND_VARIABLE}=${randomUUID()}`;
  const { Id } = await http.json(createdSchema, "POST", `/containers/${containerId}/exec`, {
    json: { Cmd: command, Env: [mark], AttachStdout: true, AttachStderr: true },
  });
  const look = () => http.json(inspectedSchema, "GET", `/exec/${Id}/json`);
  const { socket, head } = await http.upgrade(`/exec/${Id}/start`, { Detach: false, Tty: false });
  const tail = new OutputTail(outputBytesMax);
  const over = new AbortController();
  let gaveUp: CommandResult["end"] | undefined;
  const end = (why: CommandResult["end"]) => {
    gaveUp ??= why;
    over.abort();
  };
  const frames = new FrameReader();
  const take = (chunk: Uint8Array) => {
    for (const { data } of frames.read(chunk) ?? []) tail.add(data);
    if (tail.isFlooded) end("flooded");
  };
  const onAbort = () => end("timedOut");
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {
    // The connection broke: `close` follows, and what Docker says of the command counts.
  });
  try {
    take(head);
    socket.on("data", take);
    await Promise.race([endLeftBehind(look, clock, mark, over.signal), closed]);
    if (gaveUp !== undefined) {
      await endCommand(look, clock, mark);
      return { end: gaveUp, output: tail.text() };
    }
    // What was printed last may still be on its way.
    await Promise.race([closed, waitFor(clock, LEFT_BEHIND_CHECK_MS)]);
    return resultOf(await ended(look, clock, mark), tail.text());
  } finally {
    over.abort();
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

/** Resolves once the command has ended; what it has left in the background is ended with it. */
async function endLeftBehind(
  look: () => Promise<ExecState>,
  clock: Clock,
  mark: string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const { Pid } = await look();
    if (Pid > 1 && !existsSync(`/proc/${Pid}`)) return endAll(Pid, mark);
    await waitFor(clock, LEFT_BEHIND_CHECK_MS, signal);
  }
}

/** The command's group, and daemons of other sessions by the variable that they have from it. */
function endAll(pid: number, mark: string): Promise<void> {
  endGroup(pid);
  return endMarked(mark, pid);
}

/** Docker names the process a moment after it has begun. */
async function endCommand(
  look: () => Promise<ExecState>,
  clock: Clock,
  mark: string,
): Promise<void> {
  const giveUpAt = clock.monotonicNow() + END_TIMEOUT_MS;
  for (;;) {
    const { Pid, Running } = await look();
    if (Pid > 1) {
      endSession(Pid);
      await endAll(Pid, mark);
    }
    if (Pid > 1 || !Running || clock.monotonicNow() > giveUpAt) return;
    await waitFor(clock, LOOK_MS);
  }
}

/** Docker ends the connection a moment before it knows the exit code. */
async function ended(
  look: () => Promise<ExecState>,
  clock: Clock,
  mark: string,
): Promise<ExecState> {
  const giveUpAt = clock.monotonicNow() + END_TIMEOUT_MS;
  for (;;) {
    const state = await look();
    const hasEnded = !state.Running || !existsSync(`/proc/${state.Pid}`);
    if (state.Pid > 1 && hasEnded) await endAll(state.Pid, mark);
    if (!state.Running) return state;
    if (clock.monotonicNow() > giveUpAt) {
      throw new OrchdError("timedOut", "Docker does not say how the command has ended");
    }
    await waitFor(clock, LOOK_MS);
  }
}

function resultOf({ ExitCode, Pid }: ExecState, output: string): CommandResult {
  if (NOT_STARTED.test(output) || (Pid === 0 && output !== "")) {
    return { end: "notStarted", output: sentenceOf(output) };
  }
  return { end: "exited", exitCode: ExitCode ?? 0, output };
}
