import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { sortedBy } from "../lib/order.ts";
import type { Random } from "../lib/random.ts";
import { changesOf, type Action, type Plan } from "../core/reconcile/plan.ts";
import { withVolumesToRemove } from "../core/reconcile/node.ts";
import { Patience } from "../core/reconcile/rollout-patience.ts";
import { planService } from "../core/reconcile/service.ts";
import { planStack } from "../core/reconcile/stack.ts";
import { followsOthers } from "../core/scheduler/affinity.ts";
import { ClusterLoad } from "../core/scheduler/cluster-load.ts";
import { planPreemption, type Preemption } from "../core/scheduler/preempt.ts";
import { planRebalance } from "../core/scheduler/rebalance.ts";
import { schedule, type Schedule, type Unplaced } from "../core/scheduler/schedule.ts";
import { put, type Applied, type Change } from "../model/change.ts";
import type { NodeId, ServiceId, TaskId } from "../model/ids.ts";
import type { Node } from "../model/node.ts";
import { priorityOf, specOf, type Service, type Strategy } from "../model/service.ts";
import type { AgentSession } from "../model/session.ts";
import type { Task } from "../model/task.ts";
import { isLive, occupiesNode } from "../model/task.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { Controller, type Outcome } from "./controller.ts";
import { LeftVolumes } from "./left-volumes.ts";
import { concernsDependents, Dependents } from "./dependents.ts";
import { EvictionBudget } from "./eviction-budget.ts";

/** Between one task that moves for balance and the next, of whatever service. */
const MOVE_EVERY_MS = 10_000;

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
  /** How tasks are placed whose service says nothing of it. */
  strategy?: Strategy | undefined;
}

/** A commit of more would keep everybody else waiting. */
const PLACED_AT_ONCE = 5000;

/** Everything that decides, wired to the store: services, stacks and placement. */
export class Controllers {
  readonly #options: ControllersOptions;
  readonly #services: Controller<ServiceId>;
  readonly #stacks: Controller<string>;
  readonly #scheduler: Controller<"pending tasks">;
  readonly #volumes: LeftVolumes;
  readonly #dependents = new Dependents();
  readonly #balance: Controller<"balance">;
  /** When a task was last told to move, in ms since 1970. */
  #movedAt = 0;
  /** Tasks without a node: what the scheduler looks at. */
  readonly #pending = new Set<TaskId>();
  readonly #evictions = new EvictionBudget();
  readonly #unwatch: () => void;
  readonly #patience = new Patience();
  /** What tasks take of nodes, kept from look to look. */
  readonly #following: ReturnType<typeof ClusterLoad.follow>;

  constructor(options: ControllersOptions) {
    this.#options = options;
    const { clock, log, store } = options;
    this.#services = new Controller({
      name: "service",
      clock,
      log,
      work: (id) =>
        this.#commitPlan((view, now) => {
          const stalledMs = this.#patience.look(view, id, now);
          return planService(view, id, now, options.random, stalledMs);
        }),
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
    this.#volumes = new LeftVolumes(options);
    this.#following = ClusterLoad.follow(store.view());
    this.#balance = new Controller({
      name: "balance",
      clock,
      log,
      work: () => this.#rebalance(),
    });
    this.#unwatch = store.watch(({ applied }) => applied.forEach((one) => this.#onApplied(one)));
  }

  /** Looks at everything once, as after a start. */
  start(): void {
    const view = this.#options.store.view();
    for (const service of view.services.values()) {
      this.#dependents.note(undefined, service);
      this.#services.touch(service.id);
    }
    for (const name of view.stacks.keys()) this.#stacks.touch(name);
    for (const node of view.nodes.values()) this.#volumes.note(node);
    for (const task of view.tasks.values()) this.#notePending(task.id, task);
    this.#scheduler.touch("pending tasks");
    this.#balance.touch("balance");
  }

  close(): void {
    this.#unwatch();
    this.#following.stop();
    this.#volumes.close();
    const controllers = [this.#services, this.#stacks, this.#scheduler, this.#balance];
    for (const controller of controllers) controller.close();
  }

  #onApplied(applied: Applied): void {
    switch (applied.kind) {
      case "task":
        return this.#onTask(applied.before, applied.after);
      case "service": {
        const service = applied.after ?? applied.before;
        if (service === undefined) return;
        this.#services.touch(service.id);
        this.#dependents.note(applied.before, applied.after);
        this.#touchDependents(service.stack, service.name);
        if (applied.after !== undefined && isBalanced(applied.after))
          this.#balance.touch("balance");
        if (this.#pending.size > 0) this.#scheduler.touch("pending tasks");
        if (applied.after === undefined) this.#onServiceGone(service);
        return;
      }
      case "stack":
        return this.#stacks.touch(applied.after?.name ?? applied.before?.name ?? "");
      case "node":
        return this.#onNode(applied.after);
      // Nothing that a service waits for: one that reads other contents is itself changed.
      case "token":
      case "cluster":
      case "vault":
      case "upgrade":
      case "item":
      case "content":
        return undefined;
    }
  }

  /** What it depended on may go now, and at last the stack. */
  #onServiceGone(gone: Service): void {
    const { stack } = gone;
    const view = this.#options.store.view();
    for (const { service: name } of specOf(gone).dependsOn ?? []) {
      const dependency = view.serviceNamed(stack, name);
      if (dependency !== undefined) this.#services.touch(dependency.id);
    }
    this.#stacks.touch(stack);
  }

  #touchDependents(stack: string, service: string): void {
    for (const id of this.#dependents.of(stack, service)) this.#services.touch(id);
  }

  #onTask(before: Task | undefined, after: Task | undefined): void {
    const task = after ?? before;
    if (task === undefined) return;
    this.#services.touch(task.serviceId);
    if (concernsDependents(before, after)) this.#touchDependents(task.stack, task.service);
    this.#notePending(task.id, after);
    // A task keeps its room until its end is confirmed, however long ago it was asked to end.
    const held = before !== undefined && occupiesNode(before);
    const freed = held && (after === undefined || !occupiesNode(after));
    const arrived = after !== undefined && this.#pending.has(task.id);
    if ((freed || arrived) && this.#pending.size > 0) this.#scheduler.touch("pending tasks");
  }

  /** A node's change can open or close places for every global service and every pending task. */
  #onNode(node: Node | undefined): void {
    if (node !== undefined) this.#volumes.note(node);
    for (const service of this.#options.store.view().services.values()) {
      this.#services.touch(service.id);
    }
    this.#balance.touch("balance");
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
    const ids = this.#inTurn();
    let wakeAt: number | undefined;
    for (let from = 0; from < ids.length; from += PLACED_AT_ONCE) {
      wakeAt = (await this.#place(ids.slice(from, from + PLACED_AT_ONCE))) ?? wakeAt;
    }
    return wakeAt === undefined ? {} : { wakeAt };
  }

  /** What waits; where that is more than one commit takes, what has the highest priority first. */
  #inTurn(): TaskId[] {
    const ids = [...this.#pending];
    if (ids.length <= PLACED_AT_ONCE) return ids;
    const view = this.#options.store.view();
    const priorityFor = (id: TaskId) => {
      const task = view.tasks.get(id);
      const service = task && view.services.get(task.serviceId);
      return service === undefined ? 0 : priorityOf(service);
    };
    const ranked = ids.map((id) => ({ id, priority: priorityFor(id) }));
    return ranked.sort((a, b) => b.priority - a.priority).map(({ id }) => id);
  }

  /** Answers when to look again, where that is known. */
  async #place(ids: readonly TaskId[]): Promise<number | undefined> {
    const { store, clock, random, isOutOfTouch, hasImage, strategy } = this.#options;
    const now = clock.now();
    let told = 0;
    let isHeldBack = false;
    let hasFollowers = false;
    await commitFresh(store, (view) => {
      // The view may be further along than what was told of it: some may be placed or ended there.
      const tasks = ids.flatMap((id) => view.tasks.get(id) ?? []).filter(isPending);
      const knowledge = { load: this.#following.load, isOutOfTouch, hasImage, strategy };
      const result = schedule(view, tasks, random, knowledge);
      const preemption = planPreemption(view, result, this.#evictions.left(now));
      told = preemption.evictions.length;
      isHeldBack = preemption.isHeldBack;
      hasFollowers = result.placements.length > 0 && hasFollowersIn(view, result.unplaced);
      return placementChanges(view, result, preemption, now);
    });
    this.#evictions.spend(told, now);
    // What they wait to be near to may have got its node just now.
    if (hasFollowers) this.#scheduler.touch("pending tasks");
    return isHeldBack ? this.#evictions.growsAt(now) : undefined;
  }

  /** Moves one task at most: many that move at once are an outage. */
  async #rebalance(): Promise<Outcome> {
    const { store, clock, random, strategy } = this.#options;
    const now = clock.now();
    // A clock that was set back holds nothing up.
    if (this.#movedAt <= now && now - this.#movedAt < MOVE_EVERY_MS) {
      return { wakeAt: this.#movedAt + MOVE_EVERY_MS };
    }
    let wakeAt: number | undefined;
    let hasMoved = false;
    await commitFresh(store, (view) => {
      wakeAt = undefined;
      hasMoved = false;
      const known = { load: this.#following.load, strategy };
      for (const service of sortedBy(view.services.values(), ({ id }) => id)) {
        if (!isBalanced(service)) continue;
        const { move, wakeAt: later } = planRebalance(view, service, now, random, known);
        if (later !== undefined) wakeAt = Math.min(wakeAt ?? later, later);
        if (move === undefined) continue;
        hasMoved = true;
        return [put.task({ ...move.task, leave: move.reason })];
      }
      return [];
    });
    if (hasMoved) this.#movedAt = now;
    const next = hasMoved ? now + MOVE_EVERY_MS : wakeAt;
    return next === undefined ? {} : { wakeAt: next };
  }

  /**
   * A stack's volumes go last, and only when that was asked for. In the commit that ends the stack
   * stands which nodes still have to remove them.
   */
  async #removeStack(name: string): Promise<Outcome> {
    const { store, clock } = this.#options;
    const stack = store.view().stacks.get(name);
    const { actions } = planStack(store.view(), name);
    if (stack === undefined || actions.length === 0) return {};
    const names = stack.removeVolumes ? stack.volumes : [];
    const done = names.length === 0 ? new Set() : await this.#volumes.remove(names);
    await commitFresh(store, (view) => {
      const changes = changesOf(view, planStack(view, name).actions, clock.now());
      if (changes.length === 0 || names.length === 0) return changes;
      const left = [...view.nodes.values()].filter(({ id, roles }) => roles.agent && !done.has(id));
      return [...changes, ...left.map((node) => put.node(withVolumesToRemove(node, names)))];
    });
    return {};
  }
}

function isBalanced(service: Service): boolean {
  return specOf(service).rebalance === "gentle";
}

/** Whether the task waits for a node. */
function isPending(task: Task): boolean {
  return task.state === "pending" && isLive(task);
}

/** Whether one of these tasks is to be near to others, which may have a node by now. */
function hasFollowersIn(view: View, unplaced: readonly Unplaced[]): boolean {
  return unplaced.some(({ taskId }) => {
    const task = view.tasks.get(taskId);
    const service = task && view.services.get(task.serviceId);
    return service !== undefined && followsOthers(service);
  });
}

/** Writes down who got a node, who is to make room, and why the others wait. */
function placementChanges(
  view: View,
  { placements, unplaced }: Schedule,
  { evictions, waits }: Preemption,
  now: number,
): Change[] {
  const changes: Change[] = [];
  for (const { taskId, ...place } of placements) {
    const task = view.tasks.get(taskId);
    if (task === undefined) continue;
    changes.push(put.task({ ...task, ...place, state: "assigned", since: now, message: "" }));
  }
  for (const { taskId, message: reason } of unplaced) {
    const message = waits.get(taskId) ?? reason;
    const task = view.tasks.get(taskId);
    if (task !== undefined && task.message !== message)
      changes.push(put.task({ ...task, message }));
  }
  const stops = evictions.map((one): Action => ({ type: "stopTask", ...one }));
  return [...changes, ...changesOf(view, stops, now)];
}
