import { isEmptyChange, type NetworkChange } from "../model/network-change.ts";
import type { NetworkSource } from "../model/network-change.ts";
import type { NetworkFrame } from "./frames.ts";

/** A frame of a map is filled up to this: each arrives soon enough to count as a sign of life. */
const PART_CHARACTERS = 64 * 1024;

/** Frames of a change are the same for all nodes, and so are made once. */
const framesByChange = new WeakMap<NetworkChange, readonly string[]>();

/** A change on its way. */
interface Journey {
  generation: number;
  frames: readonly string[];
  next: number;
}

/**
 * Brings the map of the network to one agent. What it lacks is asked for when there is room to send
 * it, so that an agent that is slow or dead costs nothing, and whatever changed in the meantime
 * travels together. A change that is on its way is sent to its end.
 */
export class NetworkSender {
  #waiting: NetworkSource | undefined;
  #latest: NetworkSource | undefined;
  #journey: Journey | undefined;
  /** What the agent has once it has read everything. */
  #sent: number | undefined;

  offer(source: NetworkSource): void {
    this.#waiting = source;
  }

  /** The agent does not have what the last change builds on: the newest map goes out whole. */
  sendWhole(): void {
    this.#waiting ??= this.#latest;
    this.#journey = undefined;
    this.#sent = undefined;
  }

  /** The next frame, made when there is room for it. */
  next(): string | undefined {
    this.#journey ??= this.#depart();
    const journey = this.#journey;
    if (journey === undefined) return undefined;
    const frame = journey.frames[journey.next++];
    if (journey.next >= journey.frames.length) {
      this.#journey = undefined;
      this.#sent = journey.generation;
    }
    return frame;
  }

  #depart(): Journey | undefined {
    const source = this.#waiting;
    this.#waiting = undefined;
    if (source === undefined) return undefined;
    this.#latest = source;
    const change = source.since(this.#sent);
    if (isEmptyChange(change)) return undefined;
    const frames = framesByChange.get(change) ?? framesOf(change);
    framesByChange.set(change, frames);
    return { generation: change.generation, frames, next: 0 };
  }
}

interface Item {
  kind: "nodes" | "services" | "tasks" | "goneNodes" | "goneServices" | "goneTasks";
  /** JSON */
  text: string;
}

/** The change as frames, at least one, each with as much as fits. */
function framesOf(change: NetworkChange): string[] {
  const { nodes, services, tasks, removed, ...head } = change;
  const of = (kind: Item["kind"], values: readonly unknown[]) =>
    values.map((value): Item => ({ kind, text: JSON.stringify(value) }));
  const items = [
    ...of("goneNodes", removed.nodes),
    ...of("goneServices", removed.services),
    ...of("goneTasks", removed.tasks),
    ...of("nodes", nodes),
    ...of("services", services),
    ...of("tasks", tasks),
  ];
  const parts: Item[][] = [[]];
  let characters = 0;
  for (const item of items) {
    if (characters > 0 && characters + item.text.length > PART_CHARACTERS) {
      parts.push([]);
      characters = 0;
    }
    parts.at(-1)?.push(item);
    characters += item.text.length;
  }
  return parts.map((part, i) => formatFrame(head, part, i < parts.length - 1));
}

function formatFrame(
  head: Pick<NetworkFrame, "generation" | "base" | "mode" | "range" | "range6">,
  items: readonly Item[],
  more: boolean,
): string {
  const listOf = (kind: Item["kind"]) =>
    `[${items.flatMap((item) => (item.kind === kind ? item.text : [])).join(",")}]`;
  // The items are text already; what stands around them is the frame.
  const begin = JSON.stringify({ type: "network", ...head, more }).slice(0, -1);
  const removed =
    `{"nodes":${listOf("goneNodes")},"services":${listOf("goneServices")},` +
    `"tasks":${listOf("goneTasks")}}`;
  return (
    `${begin},"nodes":${listOf("nodes")},"services":${listOf("services")},` +
    `"tasks":${listOf("tasks")},"removed":${removed}}`
  );
}
