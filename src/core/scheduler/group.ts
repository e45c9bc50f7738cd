import { assert } from "../../lib/assert.ts";
import { compareText } from "../../lib/order.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import { priorityOf, specAt, specOf } from "../../model/service.ts";
import type { Service, ServiceSpec } from "../../model/service.ts";
import { isUnderWay } from "../../model/rollout.ts";
import { isStaged, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { followsOthers } from "./affinity.ts";

/** Tasks of one revision of a service: what one of them needs all of them do. */
export interface TaskGroup {
  service: Service;
  /** What a task needs: see `candidateOf`. */
  spec: ServiceSpec;
  /** Low slots first. */
  tasks: readonly Task[];
  first: Task;
}

/**
 * The tasks in the order in which they are placed: higher priorities first; whoever is to be near
 * to others after them; then by service, by revision, by slot.
 */
export function groupsOf(view: View, tasks: readonly Task[]): TaskGroup[] {
  const byService = Map.groupBy(tasks, (task) => task.serviceId);
  const services = [...byService.keys()].map((id) => {
    const service = view.services.get(id);
    assert(service !== undefined, `the tasks of service ${id} have a service`);
    return service;
  });
  return services.sort(compareTurn).flatMap((service) => {
    const { id } = service;
    const byRevision = Map.groupBy(byService.get(id) ?? [], (task) => task.revision);
    return [...byRevision]
      .sort(([a], [b]) => a - b)
      .flatMap(([revision, some]) => groupOf(service, revision, some));
  });
}

function compareTurn(a: Service, b: Service): number {
  return (
    priorityOf(b) - priorityOf(a) ||
    Number(followsOthers(a)) - Number(followsOthers(b)) ||
    compareText(a.id, b.id)
  );
}

function groupOf(service: Service, revision: number, tasks: Task[]): TaskGroup[] {
  const spec = { ...specAt(service, revision), placement: specOf(service).placement };
  const sorted = tasks.sort(compareSlot);
  const [first] = sorted;
  return first === undefined ? [] : [{ service, spec, tasks: sorted, first }];
}

/** Numbers without leading zeros are in order when the shorter ones go first. */
function compareSlot(a: Task, b: Task): number {
  return a.slot.length - b.slot.length || compareText(a.slot, b.slot) || compareText(a.id, b.id);
}

interface SlotMate {
  nodeId: NodeId;
  /** Whether it is to leave its node. */
  leaves: boolean;
}

/** Where the tasks of each slot of a service are, those that were placed just now included. */
export class SlotNodes {
  #service: ServiceId | undefined;
  #bySlot: Map<string, SlotMate[]> | undefined;

  /** Empty where nobody asks: only a limit for each node depends on it, and what is staged. */
  of(view: View, { service, spec }: TaskGroup, task: Task): readonly NodeId[] {
    if (spec.placement.maxReplicasPerNode === 0 && !isStaged(task)) return NOWHERE;
    return this.#mates(view, service, task.slot).map(({ nodeId }) => nodeId);
  }

  /**
   * Where the task best goes on: its slot is being rolled out, and its other task is there. Empty
   * outside of rollouts, which alone replace tasks that are well.
   */
  stays(view: View, { service }: TaskGroup, task: Task): readonly NodeId[] {
    if (!isUnderWay(service.rollout)) return NOWHERE;
    const mates = this.#mates(view, service, task.slot).filter(({ leaves }) => !leaves);
    return mates.map(({ nodeId }) => nodeId);
  }

  /** A task of the slot was placed. */
  add(view: View, { service, spec }: TaskGroup, slot: string, nodeId: NodeId): void {
    if (spec.placement.maxReplicasPerNode === 0) return;
    const bySlot = this.#load(view, service);
    bySlot.set(slot, [...(bySlot.get(slot) ?? []), { nodeId, leaves: false }]);
  }

  #mates(view: View, service: Service, slot: string): readonly SlotMate[] {
    return this.#load(view, service).get(slot) ?? [];
  }

  #load(view: View, service: Service): Map<string, SlotMate[]> {
    if (this.#bySlot !== undefined && this.#service === service.id) return this.#bySlot;
    const bySlot = new Map<string, SlotMate[]>();
    for (const task of view.tasksOf(service.id)) {
      if (task.nodeId === undefined || !occupiesNode(task)) continue;
      const mate = { nodeId: task.nodeId, leaves: task.leave !== undefined };
      bySlot.set(task.slot, [...(bySlot.get(task.slot) ?? []), mate]);
    }
    this.#service = service.id;
    this.#bySlot = bySlot;
    return bySlot;
  }
}

const NOWHERE: readonly NodeId[] = [];
