import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { changesOf, type Plan } from "../core/reconcile/plan.ts";
import { planService } from "../core/reconcile/service.ts";
import { planStack } from "../core/reconcile/stack.ts";
import { ClusterLoad } from "../core/scheduler/cluster-load.ts";
import { schedule } from "../core/scheduler/schedule.ts";
import { put, type Applied, type Change } from "../model/change.ts";
import type { NodeId, ServiceId, TaskId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import type { Task } from "../model/task.ts";
import { isLive, occupiesNode } from "../model/task.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { Controller, type Outcome } from "./controller.ts";

export interface ControllersOptions {
  store: Store;
  clock: Clock;
  random: Random;
  log: Log;
  /** Agents that are connected now. */
  sessions(): AgentSession[];
  /** Whether a node that is ready can't be told of a task, for so long that others are better. */
  isOutOfTouch?: (nodeId: NodeId) => boolean;
  /** Whether a node is known to have an image. */
  hasImage?: (nodeId: NodeId, image: string) => boolean;
}

/** A commit of more would keep everybody else waiting. */
const PLACED_AT_ONCE = 5000;

/** Everything that decides, wired to the store: services, stacks and placement. */
export class Controllers {
  readonly #options: ControllersOptions;
  readonly #services: Controller<ServiceId>;
  readonly #stacks: Controller<string>;
  readonly #scheduler: Controller<"pending tasks">;
  /** Tasks without a node: what the scheduler looks at. */
  readonly #pending = new Set<TaskId>();
  readonly #unwatch: () => void;
  /** What tasks take of nodes, kept from look to look. */
  readonly #following: ReturnType<typeof ClusterLoad.follow>;

  constructor(options: ControllersOptions) {
    this.#options = options;
    const { clock, log, store } = options;
    this.#services = new Controller({
      name: "service",
      clock,
      log,
      work: (id) => this.#commitPlan((view, now) => planService(view, id, now, options.random)),
    });
    this.#stacks = new Controller({
      name: "stack",
      clock,
      log,
      work: (name) => this.#removeStack(name),
    });
    this.#scheduler = new Controller({
      name: "scheduler",
      clock,
      log,
      work: () => this.#schedule(),
    });
    this.#following = ClusterLoad.follow(store.view());
    this.#unwatch = store.watch(({ applied }) => applied.forEach((one) => this.#onApplied(one)));
  }

  /** Looks at everything once, as after a start. */
  start(): void {
    const view = this.#options.store.view();
    for (const id of view.services.keys()) this.#services.touch(id);
    for (const name of view.stacks.keys()) this.#stacks.touch(name);
    for (const task of view.tasks.values()) this.#notePending(task.id, task);
    this.#scheduler.touch("pending tasks");
  }

  close(): void {
    this.#unwatch();
    this.#following.stop();
    for (const controller of [this.#services, this.#stacks, this.#scheduler]) controller.close();
  }

  #onApplied(applied: Applied): void {
    switch (applied.kind) {
      case "task":
        return this.#onTask(applied.before, applied.after);
      case "service": {
        const service = applied.after ?? applied.before;
        if (service === undefined) return;
        this.#services.touch(service.id);
        if (this.#pending.size > 0) this.#scheduler.touch("pending tasks");
        if (applied.after === undefined) this.#stacks.touch(service.stack);
        return;
      }
      case "stack":
        return this.#stacks.touch(applied.after?.name ?? applied.before?.name ?? "");
      case "node":
        return this.#onNode();
      // Who may come in is nothing that a service waits for.
      case "token":
      case "cluster":
        return undefined;
    }
  }

  #onTask(before: Task | undefined, after: Task | undefined): void {
    const task = after ?? before;
    if (task === undefined) return;
    this.#services.touch(task.serviceId);
    this.#notePending(task.id, after);
    // A task keeps its room until its end is confirmed, however long ago it was asked to end.
    const held = before !== undefined && occupiesNode(before);
    const freed = held && (after === undefined || !occupiesNode(after));
    const arrived = after !== undefined && this.#pending.has(task.id);
    if ((freed || arrived) && this.#pending.size > 0) this.#scheduler.touch("pending tasks");
  }

  /** A node's change can open or close places for every global service and every pending task. */
  #onNode(): void {
    for (const service of this.#options.store.view().services.values()) {
      this.#services.touch(service.id);
    }
    if (this.#pending.size > 0) this.#scheduler.touch("pending tasks");
  }

  #notePending(id: TaskId, task: Task | undefined): void {
    if (task !== undefined && isPending(task)) this.#pending.add(id);
    else this.#pending.delete(id);
  }

  async #commitPlan(plan: (view: View, now: number) => Plan): Promise<Outcome> {
    const now = this.#options.clock.now();
    let wakeAt: number | undefined;
    await commitFresh(this.#options.store, (view) => {
      const planned = plan(view, now);
      wakeAt = planned.wakeAt;
      return changesOf(view, planned.actions, now);
    });
    return wakeAt === undefined ? {} : { wakeAt };
  }

  /** All that wait now, so many at a time: others have their turns, and see what is decided. */
  async #schedule(): Promise<Outcome> {
    const ids = [...this.#pending];
    for (let from = 0; from < ids.length; from += PLACED_AT_ONCE) {
      await this.#place(ids.slice(from, from + PLACED_AT_ONCE));
    }
    return {};
  }

  async #place(ids: readonly TaskId[]): Promise<void> {
    const { store, clock, random, isOutOfTouch, hasImage } = this.#options;
    const now = clock.now();
    await commitFresh(store, (view) => {
      // The view may be further along than what was told of it: some may be placed or ended there.
      const tasks = ids.flatMap((id) => view.tasks.get(id) ?? []).filter(isPending);
      const knowledge = { load: this.#following.load, isOutOfTouch, hasImage };
      const { placements, unplaced } = schedule(view, tasks, random, knowledge);
      const changes: Change[] = [];
      for (const { taskId, nodeId } of placements) {
        const task = view.tasks.get(taskId);
        if (task === undefined) continue;
        changes.push(put.task({ ...task, nodeId, state: "assigned", since: now, message: "" }));
      }
      for (const { taskId, message } of unplaced) {
        const task = view.tasks.get(taskId);
        if (task !== undefined && task.message !== message)
          changes.push(put.task({ ...task, message }));
      }
      return changes;
    });
  }

  /** A stack's volumes go last, on every node that is there, and only when that was asked for. */
  async #removeStack(name: string): Promise<Outcome> {
    const stack = this.#options.store.view().stacks.get(name);
    const { actions } = planStack(this.#options.store.view(), name);
    if (actions.length > 0 && stack?.removeVolumes === true && stack.volumes.length > 0) {
      for (const session of this.#options.sessions()) await session.removeVolumes(stack.volumes);
    }
    return this.#commitPlan((view) => planStack(view, name));
  }
}

/** Whether the task waits for a node. */
function isPending(task: Task): boolean {
  return task.state === "pending" && isLive(task);
}
