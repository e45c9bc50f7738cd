import { put, type Change } from "../../model/change.ts";
import { resourcesNow, type Assignment } from "../../model/assignment.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import { formatServiceName } from "../../model/names.ts";
import { revise } from "../../model/revise.ts";
import {
  currentRevision,
  DISCONNECT_DEFAULT,
  isJob,
  specOf,
  type Service,
  type ServiceSpec,
} from "../../model/service.ts";
import { baseOfSlot, runOfSlot } from "../../model/slot-name.ts";
import type { Stack } from "../../model/stack.ts";
import { isLive, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

const MESSAGE = "made after the backup from which the cluster was put back";

/**
 * What a cluster that was put back from a backup learns from a node that knows more: the tasks that
 * were made since go on, and what they need to be known by (revisions, services, stacks) comes back
 * as far as the node tells of it. Tasks that the node has no more have ended. Jobs are left out: a
 * run that nobody knows of is none.
 * @param held all that the node was told last, by a server that knew more
 * @param now milliseconds since 1970
 */
export function takeUpLost(
  view: View,
  nodeId: NodeId,
  held: readonly Assignment[],
  now: number,
): Change[] {
  const lost = new Lost(view, nodeId, now);
  for (const assignment of held) lost.takeUp(assignment);
  lost.endMissing(new Set(held.map((one) => one.taskId)));
  return lost.changes();
}

/** The changes while they are gathered: several tasks may be of one service. */
class Lost {
  readonly #view: View;
  readonly #nodeId: NodeId;
  readonly #now: number;
  readonly #stacks = new Map<string, Stack>();
  readonly #services = new Map<string, Service>();
  readonly #tasks = new Map<TaskId, Task>();

  constructor(view: View, nodeId: NodeId, now: number) {
    this.#view = view;
    this.#nodeId = nodeId;
    this.#now = now;
  }

  takeUp(held: Assignment): void {
    if (this.#view.tasks.has(held.taskId)) return;
    if (held.desired !== "running" || isTerminal(held.state)) return;
    if (runOfSlot(held.slot) !== undefined || isOfJob(held)) return;
    const known = this.#serviceOf(held);
    if (known === undefined) this.#makeService(held);
    else if (known.removing || isJob(specOf(known))) return;
    else this.#learn(known, held);
    const service = this.#serviceOf(held);
    if (service === undefined) return;
    this.#replaceIn(service, held);
    this.#addTask(service, held);
  }

  /** What the view has on the node and the node has not: its end was lost with the rest. */
  endMissing(held: ReadonlySet<TaskId>): void {
    for (const task of this.#view.tasksOn(this.#nodeId)) {
      if (held.has(task.id) || !isLive(task) || task.state === "assigned") continue;
      const message = "had ended when the cluster was put back from a backup";
      const ending = { state: "lost", health: "none", since: this.#now, message } as const;
      this.#tasks.set(task.id, { ...task, ...ending, finishedAt: this.#now, desired: "shutdown" });
    }
  }

  changes(): Change[] {
    return [
      ...[...this.#stacks.values()].map(put.stack),
      ...[...this.#services.values()].map(put.service),
      ...[...this.#tasks.values()].map(put.task),
    ];
  }

  #serviceOf({ serviceId, stack, service: name }: Assignment): Service | undefined {
    const key = formatServiceName(stack, name);
    return (
      this.#services.get(key) ??
      this.#view.services.get(serviceId) ??
      this.#view.serviceNamed(stack, name)
    );
  }

  #keep(service: Service): void {
    this.#services.set(formatServiceName(service.stack, service.name), service);
  }

  /** A service that came after the backup, as far as one of its tasks tells of it. */
  #makeService(held: Assignment): void {
    const now = this.#now;
    const { stack, service: name, serviceId: id, revision } = held;
    if (!this.#view.stacks.has(stack) && !this.#stacks.has(stack)) {
      const times = { createdAt: now, updatedAt: now };
      const plain = { removing: false, removeVolumes: false, version: 0 };
      this.#stacks.set(stack, { name: stack, volumes: [], ...times, ...plain });
    }
    const isGlobal = baseOfSlot(held.slot) === this.#nodeId;
    this.#keep({
      id,
      stack,
      name,
      revisions: [{ revision, at: now, spec: specFrom(held, isGlobal) }],
      templateRevision: revision,
      createdAt: now,
      removing: false,
      version: 0,
    });
  }

  /** A later revision than any that is known, and more slots. */
  #learn(service: Service, held: Assignment): void {
    let next = service;
    const head = currentRevision(service);
    if (held.revision > head.revision) {
      const { container, ports, restart = head.spec.restart } = held;
      const spec = { ...head.spec, container, resources: resourcesNow(held), ports, restart };
      const tasks = this.#view.tasksOf(service.id);
      next = renumbered(service, revise(service, spec, this.#now, tasks), held.revision, spec);
    }
    next = withSlot(next, held.slot, this.#now);
    if (next !== service) this.#keep(next);
  }

  /** Whatever the view has in the slot was followed by the task that is held. */
  #replaceIn(service: Service, { slot }: Assignment): void {
    for (const task of this.#view.tasksOf(service.id)) {
      if (task.slot !== slot || !isLive(task)) continue;
      const message = "was followed by another task before the cluster was put back";
      this.#tasks.set(task.id, { ...task, desired: "shutdown", message });
    }
  }

  #addTask(service: Service, held: Assignment): void {
    const { taskId, stack, service: name, slot, revision, failures, devices } = held;
    const others = [...this.#view.tasksOf(service.id), ...this.#tasks.values()];
    const attempts = others.filter((task) => task.slot === slot).map((task) => task.attempt);
    this.#tasks.set(taskId, {
      id: taskId,
      serviceId: service.id,
      stack,
      service: name,
      slot,
      revision,
      createdAt: this.#now,
      attempt: Math.max(0, ...attempts) + 1,
      failures,
      nodeId: this.#nodeId,
      ...(devices === undefined ? {} : { devices }),
      desired: "running",
      state: "assigned",
      health: "none",
      message: MESSAGE,
      since: this.#now,
      version: 0,
    });
  }
}

/** A job's restart policy has no time after which its failures are forgotten. */
function isOfJob({ restart }: Assignment): boolean {
  return restart?.resetAfterMs === Number.MAX_SAFE_INTEGER;
}

function specFrom(held: Assignment, isGlobal: boolean): ServiceSpec {
  const { container, ports, restart, slot } = held;
  return {
    mode: isGlobal ? "global" : "replicated",
    replicas: isGlobal ? 1 : Math.max(1, numberOf(slot)),
    container,
    resources: resourcesNow(held),
    ports,
    // The stack's own.
    networks: [],
    placement: { constraints: [], spread: [], maxReplicasPerNode: 0 },
    restart: restart ?? {
      condition: "any",
      delayMs: 1000,
      delayMaxMs: 300_000,
      resetAfterMs: 600_000,
      windowMs: 0,
    },
    update: { order: "stop-first", parallelism: 1, delayMs: 0 },
    disconnect: DISCONNECT_DEFAULT,
    labels: {},
    restarts: 0,
  };
}

/** The revised service, whose newest revision has the number that it had. */
function renumbered(
  before: Service,
  revised: Service,
  revision: number,
  spec: ServiceSpec,
): Service {
  const at = revised.revisions[0]?.at ?? 0;
  if (revised === before) {
    return { ...before, revisions: [{ revision, at, spec }, ...before.revisions] };
  }
  const made = currentRevision(revised).revision;
  const [head, ...older] = revised.revisions;
  const is = (number: number) => (number === made ? revision : number);
  const { rollout } = revised;
  return {
    ...revised,
    revisions: head === undefined ? older : [{ ...head, revision }, ...older],
    templateRevision: is(revised.templateRevision),
    ...(rollout === undefined ? {} : { rollout: { ...rollout, to: is(rollout.to) } }),
  };
}

/** A slot beyond those that are known: the service had been scaled. */
function withSlot(service: Service, slot: string, now: number): Service {
  const spec = specOf(service);
  const number = numberOf(slot);
  if (spec.mode !== "replicated" || number <= spec.replicas) return service;
  const { autoscale } = spec;
  if (autoscale !== undefined) {
    const scaledTo = Math.min(number, autoscale.max);
    return scaledTo <= (service.scaledTo ?? spec.replicas) ? service : { ...service, scaledTo };
  }
  const [head, ...older] = service.revisions;
  if (head === undefined) return service;
  // No revision of its own: one more number would only stand in the way of those that come back.
  return {
    ...service,
    revisions: [{ ...head, at: now, spec: { ...spec, replicas: number } }, ...older],
  };
}

/** 0 for a slot that is a node. */
function numberOf(slot: string): number {
  return /^\d{1,5}$/.test(slot) ? Number(slot) : 0;
}
