import { homeOf } from "../../model/home.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { isUnderWay } from "../../model/rollout.ts";
import { specAt, specOf, type Service, type ServiceSpec } from "../../model/service.ts";
import { occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { bondIndexOf, bondsOf, type Bond, type BondIndex, type Placed } from "./affinity.ts";
import type { Room } from "./load.ts";
import { roomGivenTo } from "./staged.ts";

/** A task that looks for a node, with what it needs. */
export interface Candidate {
  task: Task;
  spec: ServiceSpec;
  /**
   * Where other tasks of its slot are: it takes their place, once for each. The scheduler fills it
   * in only under a limit for each node, and for what is staged.
   */
  slotNodes: readonly NodeId[];
  /** Where a task that it replaces is, which it follows there unless another node is emptier. */
  stays: readonly NodeId[];
  /** What others of its slot give back on a node before it starts there. */
  gives: ReadonlyMap<NodeId, Room>;
  /** The only node that can hold it, where it can't go to another. */
  home: Node | undefined;
  /** Rules about where tasks of other services are. */
  bonds: readonly Bond[];
}

/**
 * What the task needs. Where it may run is told by the newest revision: a change of placement makes
 * no new task, and frees one that waits.
 */
export function candidateOf(
  view: View,
  service: Service,
  task: Task,
  affinity: { index: BondIndex; placed: Placed } = { index: bondIndexOf(view), placed: new Map() },
): Candidate {
  const spec = { ...specAt(service, task.revision), placement: specOf(service).placement };
  const others = view.tasksOf(service.id).filter((other) => other.slot === task.slot);
  const held = others.filter((other) => other.id !== task.id && occupiesNode(other));
  const home = homeOf(view, service, task.slot);
  const bonds = bondsOf(view, service, task, affinity);
  const slotNodes = held.flatMap((other) => other.nodeId ?? []);
  const gives = roomGivenTo(view, service, task, slotNodes);
  const stays = isUnderWay(service.rollout)
    ? held.filter((other) => other.leave === undefined).flatMap((other) => other.nodeId ?? [])
    : [];
  return { task, spec, slotNodes, stays, gives, home, bonds };
}
