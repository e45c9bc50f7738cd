import type { ApiDeps } from "../../api/deps.ts";
import { nodesMeant } from "../../api/read/upgrade-status.ts";
import { newestOf, planUpgrade } from "../../core/upgrade/plan.ts";
import { executableFor, stepUpgrade, withRefusal, withTrying } from "../../core/upgrade/step.ts";
import { readMark } from "../../images/executables.ts";
import type { ImageStore } from "../../images/image-store.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Log } from "../../lib/log.ts";
import { equalJson } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { Trouble } from "../../lib/trouble.ts";
import { put } from "../../model/change.ts";
import type { NodeId } from "../../model/ids.ts";
import type { AgentSession } from "../../model/session.ts";
import type { Executable, Upgrade, UpgradeRequest } from "../../model/upgrade.ts";
import { PROTOCOL } from "../../session/frames.ts";
import type { Store } from "../../store/store.ts";
import { commitFresh } from "../commit-fresh.ts";
import { keptExecutables, receiveExecutable } from "./kept-executables.ts";

const RETRY_MS = 1000;

export interface UpgradesOptions {
  store: Store;
  images: ImageStore;
  clock: Clock;
  random: Random;
  log: Log;
  session(nodeId: NodeId): AgentSession | undefined;
  /** What this server runs while it has no agent that could be told to run another one. */
  versionOfLoneServer(this: void): string | undefined;
}

/**
 * Upgrades orchd node by node. How far it is lies in the store, so it goes on after this server's
 * own restart; what each node runs, and how its trial ended, nodes say themselves.
 */
export class Upgrades {
  readonly #options: UpgradesOptions;
  readonly #calling = new Set<NodeId>();
  readonly #trouble: Trouble;
  #unwatch = () => {};
  #again: Timer | undefined;
  #isLooking = false;
  #isDirty = false;
  #decides = false;

  constructor(options: UpgradesOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "the upgrade goes on");
  }

  /** The server decides from now on. */
  start(): void {
    this.#decides = true;
    this.#unwatch = this.#options.store.watch(({ applied }) => {
      if (applied.some(({ kind }) => kind === "node" || kind === "upgrade")) this.look();
    });
    this.look();
  }

  close(): void {
    this.#decides = false;
    this.#unwatch();
    this.#again?.cancel();
  }

  forPeople(): ApiDeps["upgrades"] {
    const { images, versionOfLoneServer } = this.#options;
    return {
      versionOfLoneServer,
      executables: () => keptExecutables(images),
      receive: (source) => receiveExecutable(images, source),
      begin: (request) => this.#begin(request),
      cancel: () => this.#cancel(),
      isConnected: (nodeId) => this.#options.session(nodeId) !== undefined,
    };
  }

  /** Something may have changed: a node is back, or told of its trial. */
  look(): void {
    this.#isDirty = true;
    if (this.#isLooking || !this.#decides) return;
    this.#isLooking = true;
    void this.#lookAll().finally(() => (this.#isLooking = false));
  }

  async #lookAll(): Promise<void> {
    while (this.#isDirty && this.#decides) {
      this.#isDirty = false;
      try {
        await this.#step();
        this.#trouble.over();
      } catch (error) {
        this.#trouble.note(`the upgrade is looked at again soon: ${messageChainOf(error)}`);
        this.#lookIn(RETRY_MS);
      }
    }
  }

  async #step(): Promise<void> {
    const { store, clock } = this.#options;
    let told: NodeId[] = [];
    let upgrade: Upgrade | undefined;
    await commitFresh(store, (view) => {
      told = [];
      upgrade = view.upgrade;
      if (upgrade === undefined) return [];
      const step = stepUpgrade(
        upgrade,
        {
          node: (id) => view.nodes.get(id),
          isConnected: (id) => this.#options.session(id) !== undefined,
          isCalling: (id) => this.#calling.has(id),
        },
        clock.now(),
      );
      told = step.tell;
      if (step.againInMs !== undefined) this.#lookIn(step.againInMs);
      if (equalJson(step.upgrade, upgrade)) return [];
      return [put.upgrade(step.upgrade)];
    });
    if (upgrade !== undefined) for (const id of told) void this.#tell(upgrade, id);
  }

  /** Has a node get ready; what becomes of it is written down. */
  async #tell(upgrade: Upgrade, id: NodeId): Promise<void> {
    const { store, clock, log } = this.#options;
    const { run, to, withinMs, executables } = upgrade;
    const node = store.view().nodes.get(id);
    const executable = node && executableFor(node, executables);
    const agent = this.#options.session(id);
    if (node === undefined || executable === undefined || agent === undefined) return;
    const { digest, sizeBytes } = executable;
    this.#calling.add(id);
    let change: (upgrade: Upgrade) => Upgrade;
    try {
      log.info(`node ${node.hostname} is told to run orchd ${to}`);
      await agent.upgrade({ id: run, version: to, digest, sizeBytes, withinMs });
      change = (found) => withTrying(found, id, clock.now());
    } catch (error) {
      const problem = messageChainOf(error);
      const retryable = error instanceof OrchdError && error.retryable;
      log.warn(`node ${node.hostname} does not run orchd ${to}: ${problem}`);
      change = (found) => withRefusal(found, id, { problem, retryable }, clock.now());
    }
    try {
      await this.#change(run, change);
    } catch (error) {
      // The node tells what became of it, or is told again.
      log.warn(`how far the upgrade is can't be written: ${messageChainOf(error)}`);
    }
    this.#calling.delete(id);
    this.look();
  }

  #change(run: string, change: (upgrade: Upgrade) => Upgrade): Promise<void> {
    return commitFresh(this.#options.store, ({ upgrade }) => {
      return upgrade?.run === run ? [put.upgrade(change(upgrade))] : [];
    });
  }

  async #begin(request: UpgradeRequest): Promise<void> {
    const { store, images, clock, random } = this.#options;
    const lone = this.#options.versionOfLoneServer();
    const server = lone === undefined ? {} : { serverVersion: lone };
    const kept = await keptExecutables(images);
    const order = await this.#orderOf(kept, request.to);
    const run = newId(random);
    await commitFresh(store, (view) => {
      const before = view.upgrade;
      if (before !== undefined && this.#isBusy(before)) {
        const way = "wait, or `orchd upgrade cancel`";
        const message = `orchd is being upgraded to ${before.to}: ${way}`;
        throw new OrchdError("conflict", message);
      }
      const nodes = nodesMeant(view, request);
      const now = clock.now();
      const plan = planUpgrade({ request, nodes, kept, before, order, run, now, ...server });
      if (!plan.ok) throw new OrchdError("conflict", plan.problem);
      return [put.upgrade(plan.value)];
    });
  }

  /** Whether it has something to do for nodes that are there. */
  #isBusy({ state, nodes }: Upgrade): boolean {
    const isThere = (id: NodeId) => this.#options.session(id) !== undefined;
    return nodes.some((one) => {
      if (one.state === "preparing" || one.state === "trying") return true;
      return state === "running" && one.state === "waiting" && isThere(one.id);
    });
  }

  /** A server that speaks a later protocol understands nodes of the one before, never they it. */
  async #orderOf(
    kept: readonly Executable[],
    wanted: string | undefined,
  ): Promise<Upgrade["order"]> {
    for (const { version, digest } of kept) {
      if (version !== (wanted ?? newestOf(kept))) continue;
      const { protocol } = await readMark(this.#options.images, digest);
      if (protocol > PROTOCOL) return "serversFirst";
    }
    return "agentsFirst";
  }

  async #cancel(): Promise<void> {
    const { store, clock } = this.#options;
    await commitFresh(store, ({ upgrade }) => {
      if (upgrade?.state !== "running") {
        throw new OrchdError("conflict", "orchd is not being upgraded");
      }
      return [put.upgrade({ ...upgrade, state: "canceled", endedAt: clock.now() })];
    });
  }

  #lookIn(delayMs: number): void {
    this.#again?.cancel();
    this.#again = this.#options.clock.after(delayMs, () => this.look());
  }
}
