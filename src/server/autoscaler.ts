import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { plural } from "../lib/text.ts";
import { Trouble } from "../lib/trouble.ts";
import { decideScale, type Recommendation } from "../core/reconcile/autoscale.ts";
import { measurementsOf, type Measurement } from "../core/reconcile/measurements.ts";
import { put } from "../model/change.ts";
import type { NodeId, ServiceId, TaskId } from "../model/ids.ts";
import { formatServiceName } from "../model/names.ts";
import { replicasOf, specOf, type Service, type ServiceSpec } from "../model/service.ts";
import { isServing } from "../model/serving.ts";
import type { AgentSession } from "../model/session.ts";
import type { Task } from "../model/task.ts";
import type { NodeUsage } from "../model/usage.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";
import { commitFresh } from "./commit-fresh.ts";
import { UsageRates } from "./usage-rates.ts";

/** How often nodes are asked, while any service is scaled by what there is to do. */
export const LOOK_MS = 10_000;
const ANSWER_MS = 5000;

export interface AutoscalerOptions {
  store: Store;
  clock: Clock;
  log: Log;
  session(nodeId: NodeId): AgentSession | undefined;
}

interface Memory {
  history: Recommendation[];
  reason: string;
}

/**
 * Sets the replicas of services that say `x-orchd.autoscale`. Nodes are asked for what their tasks
 * use only while there is such a service; of all that only the number of replicas is written.
 */
export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #services = new Map<ServiceId, Memory>();
  readonly #rates = new UsageRates();
  readonly #unwatch: () => void;
  readonly #trouble: Trouble;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: AutoscalerOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "replicas follow what is measured again");
    this.#unwatch = options.store.watch(({ applied }) => {
      for (const one of applied) {
        if (one.kind === "service") this.#note(one.after ?? one.before, one.after !== undefined);
      }
    });
  }

  start(): void {
    for (const service of this.#options.store.view().services.values()) this.#note(service, true);
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
    this.#timer?.cancel();
  }

  /** What was decided of a service last, and why; empty where nobody scales it. */
  reason(id: ServiceId): string {
    return this.#services.get(id)?.reason ?? "";
  }

  #note(service: Service | undefined, isThere: boolean): void {
    if (service === undefined) return;
    const isScaled = isThere && !service.removing && specOf(service).autoscale !== undefined;
    if (!isScaled) this.#services.delete(service.id);
    else if (!this.#services.has(service.id)) {
      this.#services.set(service.id, { history: [], reason: "nothing is measured yet" });
      this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#services.size === 0) return;
    this.#timer = this.#options.clock.after(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      await this.#measure();
      for (const id of this.#services.keys()) await this.#scale(id);
      this.#trouble.over();
    } catch (error) {
      // What was measured is gone in a moment; the next look measures anew.
      this.#trouble.note(`replicas stay as they are for now: ${messageChainOf(error)}`);
    }
    this.#timer = undefined;
    this.#schedule();
  }

  /** Asks every node that serves for one of the services, or takes requests, all at once. */
  async #measure(): Promise<void> {
    const view = this.#options.store.view();
    const byNode = new Map<NodeId, TaskId[]>();
    // Requests come in by any node, wherever the tasks are.
    if (this.#countsRequests(view)) for (const id of view.nodes.keys()) byNode.set(id, []);
    for (const { task, nodeId } of [...this.#services.keys()].flatMap((id) =>
      servingOf(view, id),
    )) {
      byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), task.id]);
    }
    this.#rates.keepOnly(new Set(byNode.keys()));
    const looks = [...byNode].map(async ([nodeId, tasks]) => {
      this.#rates.note(nodeId, await this.#ask(nodeId, tasks));
    });
    await Promise.all(looks);
  }

  /** Undefined where the node can't be asked, or takes too long to say. */
  async #ask(nodeId: NodeId, tasks: readonly TaskId[]): Promise<NodeUsage | undefined> {
    const { clock } = this.#options;
    const agent = this.#options.session(nodeId);
    if (agent === undefined) return undefined;
    const late = Promise.withResolvers<undefined>();
    const timer = clock.after(ANSWER_MS, () => late.resolve(undefined));
    const answer = agent.usage(tasks).catch(() => undefined);
    return Promise.race([answer, late.promise]).finally(() => timer.cancel());
  }

  async #scale(id: ServiceId): Promise<void> {
    const { store, clock, log } = this.#options;
    await commitFresh(store, (view) => {
      const service = view.services.get(id);
      const memory = this.#services.get(id);
      const spec = service && specOf(service);
      if (service === undefined || memory === undefined || spec?.autoscale === undefined) return [];
      const current = replicasOf(service);
      const decision = decideScale({
        policy: spec.autoscale,
        current,
        measurements: this.#measurements(view, id, spec),
        history: memory.history,
        now: clock.now(),
      });
      this.#services.set(id, { history: decision.history, reason: decision.reason });
      if (decision.replicas === current) return [];
      const name = formatServiceName(service.stack, service.name);
      log.info(`service ${name} gets ${plural(decision.replicas, "task")}: ${decision.reason}`);
      return [put.service({ ...service, scaledTo: decision.replicas })];
    });
  }

  #measurements(view: View, id: ServiceId, spec: ServiceSpec): Measurement[] {
    const tasks = servingOf(view, id);
    return measurementsOf(spec, {
      serving: tasks.length,
      tasks: tasks.flatMap(({ task, nodeId }) => this.#rates.of(nodeId, task.id) ?? []),
      requests: this.#requestsOf(id, spec),
    });
  }

  #countsRequests(view: View): boolean {
    return [...this.#services.keys()].some((id) => {
      const service = view.services.get(id);
      return service && specOf(service).autoscale?.requestsPerSecond !== undefined;
    });
  }

  #requestsOf(id: ServiceId, { ports, ingress = [] }: ServiceSpec): number | undefined {
    let sum = ingress.length > 0 ? this.#rates.requests(id) : undefined;
    for (const { published, protocol } of ports) {
      const rate = this.#rates.connections(`${published}/${protocol}`);
      if (rate !== undefined) sum = (sum ?? 0) + rate;
    }
    return sum;
  }
}

function servingOf(view: View, id: ServiceId): { task: Task; nodeId: NodeId }[] {
  return view.tasksOf(id).flatMap((task) => {
    if (task.nodeId === undefined || !isServing(view, task)) return [];
    return [{ task, nodeId: task.nodeId }];
  });
}
