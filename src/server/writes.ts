import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import { LABELS_MAX, planNodeRemoval, withLabels } from "../core/reconcile/node.ts";
import type { LabelChange } from "../core/reconcile/node.ts";
import { orderRollout, type RolloutOrder } from "../core/reconcile/rollout-orders.ts";
import { planStackUndo } from "../core/reconcile/stack-undo.ts";
import { withRestarts } from "../core/reconcile/apply-dependencies.ts";
import { runByHand } from "../core/reconcile/cron.ts";
import type { NewContent } from "../core/reconcile/items.ts";
import { planApply, type ApplyPlan } from "../core/reconcile/apply.ts";
import { equalJson } from "../lib/order.ts";
import { put } from "../model/change.ts";
import type { NodeId, ServiceId } from "../model/ids.ts";
import type { Content } from "../model/item.ts";
import { changeLink, type LinkChange } from "../model/link.ts";
import { formatServiceName } from "../model/names.ts";
import type { Node } from "../model/node.ts";
import { revise } from "../model/revise.ts";
import { isGlobal, isJob, specOf, type Service } from "../model/service.ts";
import type { StackSpec } from "../model/stack.ts";
import type { ApplyResult } from "../model/summary.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { refuseMisfits } from "./ingress-files.ts";
import { withVirtualIps } from "./virtual-ips.ts";

/** What secrets and configs hold, as far as stacks that use them need it. */
interface WrittenContents {
  /** What people sent under this id. */
  uploaded(id: string): NewContent | undefined;
  /** What was sealed; undefined while nobody can open it. */
  openContent(content: Content): Uint8Array | undefined;
}

/** What people may change, each as one commit: all of it, durably, or nothing. */
export class Writes {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #contents: WrittenContents;

  constructor(
    store: Store,
    clock: Clock,
    random: Random,
    contents: WrittenContents = { uploaded: () => undefined, openContent: () => undefined },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
    this.#contents = contents;
  }

  /** @throws OrchdError `conflict` when the stack can't be applied as it stands */
  async applyStack(
    name: string,
    spec: StackSpec,
    options: { dryRun: boolean; prune: boolean },
  ): Promise<ApplyResult> {
    let result: ApplyResult = { stack: name, plan: [], orphans: [] };
    await commitFresh(this.#store, (view) => {
      const plan = this.#plan(view, name, spec, options.prune);
      refuseMisfits(
        view,
        plan.changes,
        (one) => this.#contents.openContent(one),
        this.#clock.now(),
      );
      result = { stack: name, plan: plan.lines, orphans: plan.orphans };
      const changes = withVirtualIps(view, plan.changes);
      return options.dryRun ? [] : changes;
    });
    return result;
  }

  /** @throws OrchdError `notFound` */
  async removeStack(name: string, options: { volumes: boolean }): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const stack = view.stacks.get(name);
      if (stack === undefined) throw new OrchdError("notFound", `there is no stack ${name}`);
      const services = view.servicesOf(name).filter((service) => !service.removing);
      const removeVolumes = stack.removeVolumes || options.volumes;
      const updatedAt = this.#clock.now();
      return [
        put.stack({ ...stack, removing: true, removeVolumes, updatedAt }),
        ...services.map((service) => put.service({ ...service, removing: true })),
      ];
    });
  }

  /**
   * Sets the replicas of several services at once.
   * @throws OrchdError `notFound`, `conflict`; nothing is changed then
   */
  async scale(replicas: ReadonlyMap<ServiceId, number>): Promise<void> {
    await commitFresh(this.#store, (view) =>
      [...replicas].flatMap(([id, count]) => {
        const service = this.#writable(view, id);
        const spec = specOf(service);
        if (isGlobal(spec)) {
          const name = formatServiceName(service.stack, service.name);
          const message = `service ${name} is ${spec.mode}: it has one task on each node that fits`;
          throw new OrchdError("conflict", message);
        }
        if (spec.autoscale !== undefined) {
          const name = formatServiceName(service.stack, service.name);
          const { min, max } = spec.autoscale;
          const what = `service ${name} scales itself between ${min} and ${max} tasks`;
          throw new OrchdError("conflict", `${what}: change x-orchd.autoscale in its file`);
        }
        const next = revise(
          service,
          { ...spec, replicas: count },
          this.#clock.now(),
          view.tasksOf(id),
        );
        return next === service ? [] : [put.service(next)];
      }),
    );
  }

  /**
   * Replaces every task of a service by its update order, without any other change, and those of
   * services that are to restart with it. A job is run again.
   * @throws OrchdError `notFound`, `conflict`
   */
  async restart(id: ServiceId): Promise<void> {
    const service = this.#store.view().services.get(id);
    if (service !== undefined && isJob(specOf(service))) await this.runJob(id);
    else {
      await commitFresh(this.#store, (view) =>
        this.#restarted(view, this.#writable(view, id)).map(put.service),
      );
    }
  }

  /**
   * Begins a run of a job now, beside those of its schedule if it has one; answers its number.
   * @throws OrchdError `notFound`, `conflict`, or `invalid` when the service is no job
   */
  async runJob(id: ServiceId): Promise<number> {
    let number = 0;
    await commitFresh(this.#store, (view) => {
      const service = this.#writable(view, id);
      const name = formatServiceName(service.stack, service.name);
      if (!isJob(specOf(service))) throw new OrchdError("invalid", `service ${name} is no job`);
      const isScheduled = specOf(service).schedule !== undefined;
      const [first, ...others] = isScheduled ? [service] : this.#restarted(view, service);
      const asked = runByHand(first ?? service, this.#clock.now());
      if ("problem" in asked) throw new OrchdError("conflict", `job ${name}: ${asked.problem}`);
      number = asked.runs.count;
      return [put.service({ ...(first ?? service), runs: asked.runs }), ...others.map(put.service)];
    });
    return number;
  }

  /** @throws OrchdError `conflict` when the rollout is not one that can be told so */
  async orderRollout(id: ServiceId, order: RolloutOrder): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const service = this.#writable(view, id);
      const result = orderRollout(view, service, order, this.#clock.now());
      if ("problem" in result) throw new OrchdError("conflict", result.problem);
      return result.service === service ? [] : [put.service(result.service)];
    });
  }

  /** @throws OrchdError `notFound`, or `conflict` when the stack can't go back there */
  async undoStack(name: string, to: number | undefined): Promise<ApplyResult> {
    let result: ApplyResult = { stack: name, plan: [], orphans: [] };
    await commitFresh(this.#store, (view) => {
      const stack = view.stacks.get(name);
      if (stack === undefined) throw new OrchdError("notFound", `there is no stack ${name}`);
      const plan = planStackUndo(view, stack, to, this.#clock.now());
      if (plan.problems.length > 0) throw new OrchdError("conflict", plan.problems.join("; "));
      result = { stack: name, plan: plan.lines, orphans: plan.orphans };
      return plan.changes;
    });
    return result;
  }

  /**
   * @param deadlineMs by when a drained node is to be empty, from now; undefined: when it can be
   * @throws OrchdError `notFound`
   */
  async setAvailability(
    id: NodeId,
    availability: Node["availability"],
    deadlineMs?: number,
  ): Promise<void> {
    const now = this.#clock.now();
    await commitFresh(this.#store, (view) => {
      const { drainBy: before, ...node } = nodeOf(view, id);
      const drainBy = deadlineMs === undefined ? undefined : now + deadlineMs;
      if (node.availability === availability && before === drainBy) return [];
      return [put.node({ ...node, availability, ...(drainBy === undefined ? {} : { drainBy }) })];
    });
  }

  /** @throws OrchdError `notFound`, or `invalid` when the node would have too many labels */
  async setLabels(id: NodeId, change: LabelChange): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const node = nodeOf(view, id);
      const next = withLabels(node, change);
      if (Object.keys(next.labels).length > LABELS_MAX) {
        throw new OrchdError("invalid", `a node can have at most ${LABELS_MAX} labels`);
      }
      return next === node ? [] : [put.node(next)];
    });
  }

  /** @throws OrchdError `notFound` */
  async setLink(id: NodeId, change: LinkChange): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const { link: before, ...node } = nodeOf(view, id);
      const link = changeLink(before, change);
      return equalJson(before, link) ? [] : [put.node({ ...node, ...(link && { link }) })];
    });
  }

  /**
   * Ends a node; what it holds is lost and started elsewhere.
   * @throws OrchdError `notFound`, or `conflict` while it must stay
   */
  async removeNode(id: NodeId, { force }: { force: boolean }): Promise<void> {
    await commitFresh(this.#store, (view) => {
      const node = nodeOf(view, id);
      const { changes, problem } = planNodeRemoval(view, node, { force, now: this.#clock.now() });
      if (problem !== undefined) throw new OrchdError("conflict", problem);
      return changes;
    });
  }

  #plan(view: View, name: string, spec: StackSpec, prune: boolean): ApplyPlan {
    const now = this.#clock.now();
    const upload = (id: string) => this.#contents.uploaded(id);
    const options = { prune, now, random: this.#random, upload };
    const plan = planApply(view, name, spec, options);
    if (plan.problems.length > 0) throw new OrchdError("conflict", plan.problems.join("; "));
    return plan;
  }

  /** The service with one more restart, and then those that restart with it. */
  #restarted(view: View, service: Service): Service[] {
    const all = view.servicesOf(service.stack).filter((one) => !one.removing);
    const before = new Map(all.map((one) => [one.name, specOf(one)]));
    const spec = specOf(service);
    // One that was undone is not what is asked for now.
    const restarts = Math.max(...service.revisions.map((kept) => kept.spec.restarts)) + 1;
    const asked = { ...spec, restarts };
    const after = withRestarts(before, { ...Object.fromEntries(before), [service.name]: asked });
    const others = all.filter((one) => one !== service);
    return [service, ...others].flatMap((one) => {
      const wanted = after[one.name] ?? specOf(one);
      const next = revise(one, wanted, this.#clock.now(), view.tasksOf(one.id));
      return next === one ? [] : [next];
    });
  }

  #writable(view: View, id: ServiceId): Service {
    const service = view.services.get(id);
    if (service === undefined) throw new OrchdError("notFound", "the service is gone");
    if (!service.removing) return service;
    const name = formatServiceName(service.stack, service.name);
    throw new OrchdError("conflict", `service ${name} is being removed`);
  }
}

function nodeOf(view: View, id: NodeId): Node {
  const node = view.nodes.get(id);
  if (node === undefined) throw new OrchdError("notFound", `there is no node ${id}`);
  return node;
}
