import { OrchdError } from "../lib/errors.ts";
import type { NetworkChange } from "../model/network-change.ts";
import { MAP_NODES_MAX, MAP_SERVICES_MAX, MAP_TASKS_MAX } from "../model/network-change.ts";
import type { NetworkFrame } from "./frames.ts";

/** Puts changes of the network's map together again from what arrives of them in one session. */
export class NetworkReceiver {
  /** Of the last change that came to its end. */
  #generation: number | undefined;
  #part: NetworkChange | undefined;

  /**
   * Takes a frame. Answers the change when it is complete, `more` when further frames are on their
   * way, `unknownBase` when it changes a map that is not here: the whole one is to be asked for.
   * @throws OrchdError `invalid` when it comes to more than a map may hold
   */
  take({ type: _type, more, ...frame }: NetworkFrame): NetworkChange | "more" | "unknownBase" {
    const begun = this.#part?.generation === frame.generation ? this.#part : undefined;
    if (begun === undefined && frame.base !== undefined && frame.base !== this.#generation) {
      return "unknownBase";
    }
    const change = begun === undefined ? frame : joined(begun, frame);
    refuseTooLarge(change);
    this.#part = more ? change : undefined;
    if (more) return "more";
    this.#generation = change.generation;
    return change;
  }
}

/** Adds to the first: a map in many parts is not copied for each of them. */
function joined(first: NetworkChange, next: NetworkChange): NetworkChange {
  const lists: [unknown[], readonly unknown[]][] = [
    [first.nodes, next.nodes],
    [first.services, next.services],
    [first.tasks, next.tasks],
    [first.removed.nodes, next.removed.nodes],
    [first.removed.services, next.removed.services],
    [first.removed.tasks, next.removed.tasks],
  ];
  for (const [list, more] of lists) for (const item of more) list.push(item);
  return first;
}

function refuseTooLarge({ nodes, services, tasks, removed }: NetworkChange): void {
  const isTooLarge =
    Math.max(nodes.length, removed.nodes.length) > MAP_NODES_MAX ||
    Math.max(services.length, removed.services.length) > MAP_SERVICES_MAX ||
    Math.max(tasks.length, removed.tasks.length) > MAP_TASKS_MAX;
  if (isTooLarge) throw new OrchdError("invalid", "a map of the network is too large");
}
