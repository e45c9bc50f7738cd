import { HISTORY_PER_SLOT } from "../../src/core/reconcile/attempt.ts";
import { waitOf } from "../../src/core/reconcile/depends.ts";
import { latestRun } from "../../src/core/reconcile/job.ts";
import { isConverged } from "../../src/core/reconcile/service.ts";
import { slotsOf } from "../../src/core/reconcile/slot.ts";
import type { ServiceId } from "../../src/model/ids.ts";
import {
  isGlobal,
  isJob,
  replicasOf,
  specOf,
  tieOf,
  type Service,
} from "../../src/model/service.ts";
import { downNodeOf, isServing } from "../../src/model/serving.ts";
import { isTerminal } from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import { wantedInVain } from "../plan-linter.ts";
import type { Cluster, Place } from "./cluster.ts";
import type { Violation } from "./violation.ts";

/** A schedule of every minute is dealt with at least so often. */
const LATE_MAX_MS = 130_000;

/** What a cluster still lacks of what was asked for. */
export class Trouble {
  readonly #cluster: Cluster;
  /** A machine that stays out of reach: nothing is asked of it. */
  readonly #away: () => Place | undefined;

  constructor(cluster: Cluster, away: () => Place | undefined) {
    this.#cluster = cluster;
    this.#away = away;
  }

  /** Why the cluster is not yet what was asked for. */
  find(): Violation | undefined {
    const lack = this.#lack();
    if (lack !== undefined) return { invariant: "T8", message: lack };
    const scale = this.#wrongScale();
    if (scale !== undefined) return { invariant: "scaled", message: scale };
    return this.#leftover() ?? this.#excess();
  }

  #lack(): string | undefined {
    const { view } = this.#cluster.disk;
    for (const stack of view.stacks.values()) {
      if (stack.removing) return `stack ${stack.name} is still there`;
    }
    for (const service of view.services.values()) {
      const name = `service ${service.stack}/${service.name}`;
      if (service.removing) return `${name} is still there`;
      const late = this.#isLate(service);
      if (late !== undefined) return `${name} ${late}`;
      if (isAtRest(view, service)) continue;
      if (this.#hasGivenUp(service.id) || this.#waitsForNode(service)) continue;
      if (this.#isHeldBack(service)) continue;
      if (isConverged(view, service)) {
        const many = this.#tooMany(service);
        if (many !== undefined) return `${name} ${many}`;
        continue;
      }
      const tasks = view.tasksOf(service.id).map((t) => `${t.slot} ${t.desired} ${t.state}`);
      return `${name} has not converged: ${tasks.join("; ")}`;
    }
    return undefined;
  }

  /** A service that scales itself, all of whose tasks serve, and that has too few or too many. */
  #wrongScale(): string | undefined {
    const { disk, load } = this.#cluster;
    // Tasks on a machine that is out of reach do a part of the work, and are not counted.
    if (this.#away() !== undefined) return undefined;
    for (const service of disk.view.services.values()) {
      if (specOf(service).autoscale === undefined || !isConverged(disk.view, service)) continue;
      const serving = disk.view.tasksOf(service.id).filter((task) => isServing(disk.view, task));
      // What did its work, as some policies have it, is not started again to share more.
      if (serving.length < replicasOf(service)) continue;
      const wrong = load.wrong(service);
      if (wrong !== undefined) return `service ${service.stack}/${service.name} ${wrong}`;
    }
    return undefined;
  }

  /** Whether a service waits for one that can't be had before its node is back, or never. */
  #isHeldBack(service: Service): boolean {
    const { view } = this.#cluster.disk;
    if (waitOf(view, service) === undefined) return false;
    return (specOf(service).dependsOn ?? []).some(({ service: name }) => {
      const target = view.serviceNamed(service.stack, name);
      if (target === undefined) return false;
      if (this.#hasGivenUp(target.id) || isAtRest(view, target)) return true;
      return (
        (tieOf(specOf(target)) !== undefined && this.#waitsForNode(target)) ||
        this.#isHeldBack(target)
      );
    });
  }

  /** How far a schedule is behind. */
  #isLate(service: Service): string | undefined {
    const { schedule } = specOf(service);
    const until = service.runs?.handled?.until ?? 0;
    const behindMs = this.#cluster.clock.now() + this.#cluster.serverSkewMs - until;
    // With all that was missed one after the other, the last can come late.
    if (schedule === undefined || schedule.missed === "all" || behindMs < LATE_MAX_MS) {
      return undefined;
    }
    return `has dealt with no time of its schedule for ${behindMs} ms`;
  }

  /** Whether all that a service lacks are tasks that wait for the only node that can hold them. */
  #waitsForNode(service: Service): boolean {
    const { view } = this.#cluster.disk;
    const spec = specOf(service);
    if (tieOf(spec) === undefined && !isGlobal(spec)) return false;
    return view.tasksOf(service.id).every((task) => {
      if (isTerminal(task.state) || isServing(view, task)) return true;
      return downNodeOf(view, task) !== undefined || task.message.startsWith("waits for node");
    });
  }

  /** Machines run as many containers of a service as it has tasks, and no other one. */
  #tooMany(service: Service): string | undefined {
    const { disk, places } = this.#cluster;
    const spec = specOf(service);
    const { restart: policy } = spec;
    const replicas = replicasOf(service);
    if (isGlobal(spec) || isJob(spec) || policy.condition !== "any") return undefined;
    // Of one that is out of reach nobody knows, and what it holds may have moved.
    const inReach = places.filter((place) => place !== this.#away());
    const running = inReach.flatMap(({ machine }) =>
      [...machine.containers.values()].filter(({ taskId, state }) => {
        return state === "running" && disk.view.tasks.get(taskId)?.serviceId === service.id;
      }),
    );
    if (running.length === replicas) return undefined;
    return `runs ${running.length} containers instead of ${replicas}`;
  }

  /** A task that ended, under a policy that lets it rest, is as asked for. */
  #hasGivenUp(id: ServiceId): boolean {
    const { view } = this.#cluster.disk;
    const service = view.services.get(id);
    if (service === undefined) return false;
    const { restart: policy } = specOf(service);
    if (policy.condition !== "none" && policy.maxAttempts === undefined) return false;
    return view.tasksOf(id).some((task) => task.state === "failed" || task.state === "complete");
  }

  /** Ended tasks that a slot keeps beyond its history. */
  #excess(): Violation | undefined {
    const { view } = this.#cluster.disk;
    for (const service of view.services.values()) {
      const [vain] = wantedInVain(view, service);
      if (vain !== undefined) {
        const message = `task ${vain} is wanted, and its slot has gone on without it`;
        return { invariant: "retired", message };
      }
      const slots = slotsOf(view, service);
      for (const { slot, ended } of slots.values()) {
        // A job keeps the task that did the work beside the latest ones.
        const most = isJob(specOf(service)) ? HISTORY_PER_SLOT + 1 : HISTORY_PER_SLOT;
        if (ended.length <= most) continue;
        return { invariant: "T8", message: `slot ${slot} keeps ${ended.length} ended tasks` };
      }
    }
    return undefined;
  }

  /** What is on a machine and in no task, or the other way round. */
  #leftover(): Violation | undefined {
    const { places } = this.#cluster;
    for (const place of places) {
      if (place === this.#away()) continue;
      const message = this.#leftVolume(place);
      if (message !== undefined) return { invariant: "S11", message };
      const ghost = this.#ghost(place);
      if (ghost !== undefined) return { invariant: "S12", message: ghost };
    }
    return undefined;
  }

  #leftVolume({ node, machine }: Place): string | undefined {
    const { volumes } = this.#cluster.checks;
    for (const [name, volume] of machine.volumes) {
      if (volumes.isGivenUp(name, volume)) {
        return `volume ${name} of ${node.hostname} is still there`;
      }
    }
    return undefined;
  }

  #ghost({ node, machine }: Place): string | undefined {
    const { view } = this.#cluster.disk;
    for (const { taskId, state } of machine.containers.values()) {
      const task = view.tasks.get(taskId);
      if (task === undefined) return `container of ${taskId} on ${node.hostname} has no task`;
      if (state === "running" && task.state !== "running") {
        return `container of ${taskId} runs on ${node.hostname}, and the task is ${task.state}`;
      }
    }
    for (const task of view.tasksOn(node.id)) {
      if (task.state !== "running") continue;
      if (machine.containers.get(task.id)?.state === "running") continue;
      return `task ${task.id} is running on ${node.hostname} without a container`;
    }
    return undefined;
  }
}

/** Whether a job has failed for good, or a service waits for one that has. */
function isAtRest(view: View, service: Service): boolean {
  if (isJob(specOf(service)) && latestRun(service)?.result === "failed") return true;
  return waitOf(view, service)?.includes("which it can't any more") === true;
}
