import { OrchdError } from "../lib/errors.ts";
import type { ServiceId, TaskId } from "../model/ids.ts";
import type { LogLine, LogOptions } from "../model/session.ts";
import type { TaskLogLine } from "../model/summary.ts";
import { formatTaskName, isTerminal, type Task } from "../model/task.ts";
import type { View } from "../model/view.ts";
import { agentOf } from "./agents.ts";
import type { ApiDeps } from "./deps.ts";
import { mergeSorted } from "./merge.ts";
import { Pulse } from "./pulse.ts";
import { hostnameOf } from "./read/target.ts";
import type { LineSink } from "./stream.ts";

/** Whose logs: one task's, or those of every task that a service has. */
export type LogSource = { kind: "task"; id: TaskId } | { kind: "service"; id: ServiceId };

/** The lines that are there, of several tasks by time, of one by its own order. */
export async function sendLogs(
  deps: ApiDeps,
  sink: LineSink,
  source: LogSource,
  options: LogOptions,
): Promise<void> {
  const tasks = tasksOf(deps.store.view(), source).filter(hasLog);
  const missing: unknown[] = [];
  const streams = tasks.map((task) => readTask(deps, task, options, sink.signal, missing));
  const lines = streams.length === 1 ? (streams[0] ?? []) : mergeSorted(streams, (l) => l.at);
  for await (const line of lines) await sink.write(line);
  // Lines that can't be read are told after those that can: what is there is worth seeing.
  if (missing.length > 0) throw missing[0];
}

/**
 * The lines that are there and those that come, as they come. Tasks that start later are picked up.
 * Ends with the task, or with the service, or when the reader goes.
 */
export async function followLogs(
  deps: ApiDeps,
  sink: LineSink,
  source: LogSource,
  options: LogOptions,
): Promise<void> {
  const pulse = new Pulse(sink.signal);
  const unwatch = deps.store.watch(() => pulse.beat());
  const stop = new AbortController();
  const signal = AbortSignal.any([sink.signal, stop.signal]);
  const seen = new Set<TaskId>();
  const failed: unknown[] = [];
  const pumps = new Set<Promise<void>>();
  const pump = async (task: Task, wanted: LogOptions) => {
    for await (const line of readTask(deps, task, wanted, signal, failed)) {
      // Another task's log has failed: what was read of this one meanwhile comes too late.
      if (signal.aborted) return;
      await sink.write(line);
    }
  };
  const start = (task: Task, wanted: LogOptions) => {
    const running: Promise<void> = pump(task, wanted)
      .catch((error: unknown) => void failed.push(error))
      .finally(() => {
        pumps.delete(running);
        pulse.beat();
      });
    pumps.add(running);
  };
  // What a task printed before anyone knew of it is new to the reader too: `tail` and `since` hold
  // for the tasks that are there now.
  let wanted = options;
  try {
    while (!signal.aborted && failed.length === 0) {
      const tasks = tasksOf(deps.store.view(), source);
      for (const task of tasks.filter((one) => hasLog(one) && !seen.has(one.id))) {
        seen.add(task.id);
        start(task, wanted);
      }
      wanted = { follow: true };
      if (pumps.size === 0 && isOver(deps.store.view(), source)) break;
      await pulse.next();
    }
  } finally {
    unwatch();
    stop.abort();
    // Nothing may be written once this has returned: the stream is closed then.
    await Promise.all(pumps);
  }
  if (failed.length > 0) throw failed[0];
}

/** A task's lines under its name; what goes wrong is added to `failed` instead of thrown. */
async function* readTask(
  deps: ApiDeps,
  task: Task,
  options: LogOptions,
  signal: AbortSignal,
  failed: unknown[],
): AsyncGenerator<TaskLogLine> {
  const name = formatTaskName(task, hostnameOf(deps.store.view(), task));
  try {
    for await (const line of agentOf(deps, task).logs(task.id, options, signal)) {
      yield withTask(line, name);
    }
  } catch (error) {
    // A container that is gone has no lines, and a reader who has gone wants none.
    const gone = error instanceof OrchdError && error.code === "notFound";
    if (!gone && !signal.aborted) failed.push(error);
  }
}

function withTask({ at, stream, text }: LogLine, task: string): TaskLogLine {
  return { task, at, stream, text };
}

function tasksOf(view: View, source: LogSource): readonly Task[] {
  if (source.kind === "service") return view.tasksOf(source.id);
  const task = view.tasks.get(source.id);
  return task === undefined ? [] : [task];
}

/** Whether there is a container that has run. */
function hasLog(task: Task): boolean {
  if (task.state === "removed" || task.desired === "removed") return false;
  return task.nodeId !== undefined && task.startedAt !== undefined;
}

/** Whether nothing can come any more. */
function isOver(view: View, source: LogSource): boolean {
  if (source.kind === "service") return !view.services.has(source.id);
  const task = view.tasks.get(source.id);
  return task === undefined || isTerminal(task.state) || task.desired === "removed";
}
