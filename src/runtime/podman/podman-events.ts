import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { taskIdSchema, type NodeId, type TaskId } from "../../model/ids.ts";
import { LABELS, type RuntimeEvent } from "../driver.ts";
import { Queue } from "../queue.ts";
import { watchEventFiles, type FileNews } from "./event-files.ts";
import { filtersOf, queryOf } from "./http.ts";
import { linesOf } from "./lines.ts";
import { type Programs, watchPrograms } from "./lost-ends.ts";
import type { PodmanService } from "./service.ts";
import { waitFor } from "./wait-for.ts";

const eventSchema = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).default({}) }),
});

/** What Podman calls it, as orchd does; all else (init, cleanup, exec …) says nothing new. */
const TYPES: ReadonlyMap<string, "started" | "exited" | "removed"> = new Map([
  ["start", "started"],
  ["died", "exited"],
  ["remove", "removed"],
  // Docker's words.
  ["die", "exited"],
  ["destroy", "removed"],
]);

const LINE_LENGTH_MAX = 1024 * 1024;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 5_000;
/** A stream is begun anew now and then, should events get lost in a way not seen yet. */
const RENEW_AFTER_MS = 600_000;

/** What the events need of Podman's service. */
export type EventService = Pick<PodmanService, "http" | "revive"> & {
  /** Whose files of events are watched as well; undefined for none. */
  pid(): number | undefined;
};

/** The tasks of containers that are known to run, by the container's id. */
export type RunningTasks = Map<string, TaskId>;

export interface EventOptions {
  service: EventService;
  nodeId: NodeId;
  clock: Clock;
  /** Whoever lists containers notes here which of them run. */
  running: RunningTasks;
  processes: Programs["processes"];
}

/**
 * Events of this node's containers. The stream begins with `resync`, and says so again each time
 * that the connection was lost: what happened in between is found by listing. The end of a task
 * that runs may be told twice, since its monitor knows of it before Podman. Ends when `signal`
 * aborts.
 */
export async function* podmanEvents(
  options: EventOptions,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  const { service, nodeId, clock, running, processes } = options;
  let backoffMs = BACKOFF_FIRST_MS;
  while (!signal.aborted) {
    try {
      const reply = await service.http.stream("GET", eventsPath(nodeId, clock.now()), signal);
      backoffMs = BACKOFF_FIRST_MS;
      const ends = new Queue<RuntimeEvent>();
      const onEnded = (containerId: string) => {
        const taskId = running.get(containerId);
        if (running.delete(containerId) && taskId !== undefined) {
          ends.push({ type: "exited", taskId, containerId });
        }
      };
      const done = watchFiles(service, clock, { onRotated: () => reply.destroy(), onEnded });
      const programs = { running: () => running.keys(), processes };
      const stopLooking = watchPrograms(programs, clock, onEnded);
      try {
        yield { type: "resync" };
        yield* whicheverComes(eventsOf(reply, running), ends);
      } finally {
        done();
        stopLooking();
        // A reader may leave before it asks for the first event: nobody else ends the reply then.
        reply.destroy();
      }
    } catch (error) {
      // The service went away or answers nonsense: a new connection is tried either way.
      if (!(error instanceof OrchdError)) throw error;
    }
    if (signal.aborted) return;
    await service.revive().catch((error: unknown) => {
      // Told to those who make calls meanwhile; the next round tries again.
      if (!(error instanceof OrchdError)) throw error;
    });
    await waitFor(clock, backoffMs, signal);
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  }
}

async function* eventsOf(
  reply: AsyncIterable<Uint8Array>,
  running: RunningTasks,
): AsyncGenerator<RuntimeEvent> {
  for await (const line of linesOf(reply, LINE_LENGTH_MAX)) {
    const event = parseEvent(line);
    if (event === undefined || event.type === "resync") continue;
    if (event.type === "started") running.set(event.containerId, event.taskId);
    else running.delete(event.containerId);
    yield event;
  }
}

/** What comes from either, until the first one ends. */
async function* whicheverComes<T>(
  first: AsyncIterator<T>,
  second: AsyncIterator<T>,
): AsyncGenerator<T> {
  let [ofFirst, ofSecond] = [first.next(), second.next()];
  for (;;) {
    const isFirst = await Promise.race([ofFirst.then(() => true), ofSecond.then(() => false)]);
    const result = await (isFirst ? ofFirst : ofSecond);
    if (result.done === true) return;
    if (isFirst) ofFirst = first.next();
    else ofSecond = second.next();
    yield result.value;
  }
}

/** Watches what the stream does not tell, and renews it in time. Answers how to stop watching. */
function watchFiles(service: EventService, clock: Clock, news: FileNews): () => void {
  const over = new AbortController();
  const renewal = clock.after(RENEW_AFTER_MS, () => news.onRotated());
  const pid = service.pid();
  if (pid !== undefined) void watchEventFiles(pid, clock, news, over.signal);
  return () => {
    renewal.cancel();
    over.abort();
  };
}

/** `since` closes the gap between the answer's first byte and the moment that Podman listens. */
function eventsPath(nodeId: NodeId, now: number): string {
  const filters = { type: ["container"], label: [`${LABELS.owner}=${nodeId}`] };
  const since = Math.floor(now / 1000);
  return `/events${queryOf({ stream: true, since, filters: filtersOf(filters) })}`;
}

/** One line of the stream; undefined for what is not of interest. */
export function parseEvent(line: string): RuntimeEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Podman ends a broken stream with plain text; the connection's end follows.
    return undefined;
  }
  const parsed = eventSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { Action, Actor } = parsed.data;
  const type = TYPES.get(Action);
  const taskId = taskIdSchema.safeParse(Actor.Attributes[LABELS.task]);
  if (type === undefined || !taskId.success) return undefined;
  return { type, taskId: taskId.data, containerId: Actor.ID };
}
