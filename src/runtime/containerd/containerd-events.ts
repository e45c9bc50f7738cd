import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { taskIdSchema, type TaskId } from "../../model/ids.ts";
import type { RuntimeEvent } from "../driver.ts";
import { waitFor } from "../podman/wait-for.ts";
import { type ContainerdGrpc, decodeMessage, NAMESPACE } from "./grpc.ts";
import { METHODS } from "./methods.ts";

/** An event of our own, by which it is known that events come. */
const PING_TOPIC = "/orchd/ping";
const PING_AGAIN_MS = 50;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 2_000;
/** A stream is begun anew now and then, should events get lost in a way not seen yet. */
const RENEW_AFTER_MS = 600_000;

const TOPICS = ["/tasks/start", "/tasks/exit", "/containers/delete", PING_TOPIC];

const taskSchema = z.object({ containerId: taskIdSchema, id: z.string() });
const containerSchema = z.object({ id: taskIdSchema });

export interface EventSource {
  grpc: ContainerdGrpc;
  clock: Clock;
  /** Whether the container is, or was, this node's. */
  isOurs(taskId: TaskId): Promise<boolean>;
  /** Makes sure that containerd runs, where that is for us to do. */
  revive(): Promise<void>;
}

/**
 * Events of this node's containers. containerd tells nothing of what was before a stream began, so
 * each begins with `resync`, once an event of our own has come through it.
 */
export async function* containerdEvents(
  source: EventSource,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  let backoffMs = BACKOFF_FIRST_MS;
  while (!signal.aborted) {
    const over = new AbortController();
    const end = () => over.abort();
    signal.addEventListener("abort", end, { once: true });
    const renewal = source.clock.after(RENEW_AFTER_MS, end);
    try {
      for await (const event of eventsOf(source, over.signal)) {
        backoffMs = BACKOFF_FIRST_MS;
        yield event;
      }
    } catch (error) {
      // containerd went away: a new stream is tried.
      if (!(error instanceof OrchdError)) throw error;
    } finally {
      renewal.cancel();
      end();
      signal.removeEventListener("abort", end);
    }
    if (signal.aborted) return;
    await source.revive().catch((error: unknown) => {
      // Told to those who make calls meanwhile; the next round tries again.
      if (!(error instanceof OrchdError)) throw error;
    });
    await waitFor(source.clock, backoffMs, signal);
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  }
}

async function* eventsOf(source: EventSource, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  const filters = TOPICS.map((topic) => `topic=="${topic}",namespace==${NAMESPACE}`);
  const pinged = new AbortController();
  const stream = source.grpc.stream(METHODS.subscribe, { filters }, signal);
  void ping(source, AbortSignal.any([signal, pinged.signal]));
  try {
    for await (const { topic, event } of stream) {
      if (topic === PING_TOPIC) {
        if (!pinged.signal.aborted) yield { type: "resync" };
        pinged.abort();
        continue;
      }
      const told = eventOf(topic, event?.value ?? new Uint8Array());
      if (told !== undefined && (await source.isOurs(told.taskId))) yield told;
    }
  } finally {
    pinged.abort();
  }
}

/** Until one has come back: those from before the stream began are never seen. */
async function ping({ grpc, clock }: EventSource, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const event = { typeUrl: "orchd.Ping", value: new Uint8Array() };
    await grpc.call(METHODS.publish, { topic: PING_TOPIC, event }).catch(() => {
      // containerd is away; the stream ends of the same cause.
    });
    await waitFor(clock, PING_AGAIN_MS, signal);
  }
}

/** Undefined for what is not of interest: the end of a command that was run in a container. */
export function eventOf(
  topic: string,
  bytes: Uint8Array,
): Exclude<RuntimeEvent, { type: "resync" }> | undefined {
  if (topic === "/containers/delete") {
    const parsed = containerSchema.safeParse(decodeMessage("ContainerEvent", bytes));
    if (!parsed.success) return undefined;
    return { type: "removed", taskId: parsed.data.id, containerId: parsed.data.id };
  }
  const parsed = taskSchema.safeParse(decodeMessage("TaskEvent", bytes));
  if (!parsed.success) return undefined;
  const { containerId, id } = parsed.data;
  if (topic === "/tasks/start") return { type: "started", taskId: containerId, containerId };
  if (id !== containerId) return undefined;
  return { type: "exited", taskId: containerId, containerId };
}
