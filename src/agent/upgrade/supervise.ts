import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/errors.ts";

/** How often a new executable is looked for in membership. */
const LOOK_MS = 100;
/** A process that was asked to end has so long. */
const END_MS = 10_000;

export interface TrialProcess {
  path: string;
  argv0: string;
  words: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  withinMs: number;
  clock: Clock;
  isConfirmed: () => boolean;
}

export type TrialEnd =
  | { type: "kept" }
  | { type: "reverted"; reason: string }
  /** Somebody asked this process to end, before anything was decided. */
  | { type: "stopped"; exitCode: number };

interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * Runs an executable as a child, on this process's own standard streams, until it is back in
 * membership, or ends, or its time is up; and has ended it when this resolves. Whether it hangs or
 * dies, this process is there, and its parent notices nothing.
 */
export async function superviseTrial(options: TrialProcess): Promise<TrialEnd> {
  const { path, argv0, words, env, clock, withinMs } = options;
  let child: ChildProcess;
  try {
    child = spawn(path, [...words], { argv0, env: { ...env }, stdio: "inherit" });
  } catch (error) {
    return { type: "reverted", reason: `it can't be run: ${messageOf(error)}` };
  }
  const exited = new Promise<Exit | { error: Error }>((resolve) => {
    child.once("error", (error) => resolve({ error }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const stop = stopSignal((signal) => child.kill(signal));
  const look = untilConfirmed(options);
  const late = after(clock, withinMs);
  const first = await Promise.race([
    exited.then((exit) => ({ type: "exit", exit }) as const),
    look.done.then(() => ({ type: "confirmed" }) as const),
    late.done.then(() => ({ type: "late" }) as const),
  ]);
  look.cancel();
  late.cancel();
  if (first.type !== "exit") {
    child.kill("SIGTERM");
    const slow = after(clock, END_MS);
    void slow.done.then(() => child.kill("SIGKILL"));
    await exited;
    slow.cancel();
  }
  const asked = stop.end();
  if (first.type === "confirmed") return { type: "kept" };
  if (asked) {
    const exit = await exited;
    return { type: "stopped", exitCode: "error" in exit ? 1 : exitCodeOf(exit) };
  }
  if (first.type === "exit") return { type: "reverted", reason: reasonOf(first.exit) };
  const seconds = Math.round(withinMs / 1000);
  return { type: "reverted", reason: `it was not back in the cluster within ${seconds} s` };
}

function reasonOf(exit: Exit | { error: Error }): string {
  if ("error" in exit) return `it can't be run: ${exit.error.message}`;
  const how = exit.signal === null ? `with exit code ${exit.code}` : `by ${exit.signal}`;
  return `it ended ${how} before it was back in the cluster`;
}

function exitCodeOf({ code, signal }: Exit): number {
  return code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
}

/** Passes on what asks this process to end; `end` answers whether anything did. */
function stopSignal(pass: (signal: NodeJS.Signals) => void): { end: () => boolean } {
  const signals = ["SIGINT", "SIGTERM"] as const;
  let asked = false;
  const listener = (signal: NodeJS.Signals) => {
    asked = true;
    pass(signal);
  };
  for (const signal of signals) process.on(signal, listener);
  return {
    end() {
      for (const signal of signals) process.off(signal, listener);
      return asked;
    },
  };
}

function untilConfirmed({ clock, isConfirmed }: TrialProcess) {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const look = () => (isConfirmed() ? resolve() : (timer = clock.after(LOOK_MS, look)));
  let timer = clock.after(LOOK_MS, look);
  return { done, cancel: () => timer.cancel() };
}

function after(clock: Clock, delayMs: number) {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(delayMs, resolve);
  return { done, cancel: () => timer.cancel() };
}
