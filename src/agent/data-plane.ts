import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import { Trouble } from "../lib/trouble.ts";
import { rangesOf } from "../core/network/address6.ts";
import { portOfCounter, portsAnswered } from "../core/network/endpoint-rules.ts";
import { mtuOf } from "../core/network/links.ts";
import { type BridgeState, ipv6Rules, nodeRules } from "../core/network/node-rules.ts";
import { formatChange, formatWhole, type RuleTable } from "../core/network/rule-table.ts";
import { staleFlows, type StaleFlows } from "../core/network/stale-flows.ts";
import type { NodeId } from "../model/ids.ts";
import type { MapTask, NetworkMap } from "../model/network-map.ts";
import type { KernelNews } from "../net/kernel-watch.ts";
import type { NodeNetwork } from "../net/node-network.ts";
import type { HeldPorts } from "./held-ports.ts";

const RETRY_MS = 5000;
/** The kernel rings when something changes. Should it not, that is made good this soon. */
const LOOK_EVERY_MS = 10_000;
/** After a ring, at most so often. Also while containers of this node come and go. */
const LOOK_SOON_MS = 500;
/** So long after a change to this node's tasks. */
const UNSETTLED_MS = 10_000;
/** Whatever nobody told of is found by then. */
const CHECK_EVERY_MS = 60_000;
/** Other programs' firewalls seldom change. */
const FIREWALLS_EVERY_MS = 600_000;

/** Where the newest map of the cluster's network is. */
export interface NetworkSource {
  current(): NetworkMap;
  /** Calls when there is another one; answers how to stop. */
  subscribe(listener: () => void): () => void;
}

/** What a data plane needs of the machine. */
export type PlaneKernel = Pick<
  NodeNetwork,
  | "readUnderlay"
  | "foreignFirewalls"
  | "setLinks"
  | "setRules"
  | "hasRules"
  | "counters"
  | "forgetFlows"
  | "look"
  | "listen"
  | "remove"
  | "close"
>;

export interface DataPlaneOptions {
  nodeId: NodeId;
  /** The node's bridge. */
  bridge: string;
  source: NetworkSource;
  kernel: PlaneKernel;
  ports: HeldPorts;
  clock: Clock;
  log: Log;
  /** Hears what people should put right, whenever that is something else than before. */
  onNotes: (notes: string[]) => void;
}

/**
 * Keeps the kernel equal to the newest map of the cluster's network: links to other nodes, virtual
 * addresses, published ports, and who may talk to whom. All of it stays while orchd is restarted.
 */
export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #unsubscribe: () => void;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** What the links were last made from; undefined when nobody knows how they stand. */
  #linked: Pick<NetworkMap, "nodes" | "mode" | "range" | "range6"> | undefined;
  #bridge: BridgeState = { isFiltered: true, isTight: false };
  /** What the kernel's tables hold; undefined when nobody knows. */
  #applied: readonly RuleTable[] | undefined;
  #appliedMap: NetworkMap | undefined;
  /** Transactions of ours that the kernel has yet to tell of. */
  #transactions = 0;
  #linkProblems: string[] = [];
  #firewalls: string[] = [];
  #notes: string[] = [];
  readonly #trouble: Trouble;
  readonly #lookTrouble: Trouble;
  #retry: Timer | undefined;
  #timer: Timer | undefined;
  /** Moments of the monotonic clock; the first look finds everything due. */
  #unsettledUntil = 0;
  #checkedAt: number;
  #firewallsAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  /** The next look is soon. */
  #isSoon = false;
  #isRung = false;
  #isSilenceTold = false;
  #isActive = true;

  constructor(options: DataPlaneOptions) {
    const { log } = options;
    this.#options = options;
    this.#trouble = new Trouble(log, "the node's network is as it should be", "error");
    this.#lookTrouble = new Trouble(log, "the node's network is looked at again");
    this.#checkedAt = options.clock.monotonicNow();
    this.#unsubscribe = options.source.subscribe(() => void this.keepUp());
  }

  /** The largest packet between tasks of this node, whose address it is, and others. */
  async taskMtu(address: string): Promise<number> {
    const { mtu } = await this.#options.kernel.readUnderlay(address);
    return mtuOf(this.#options.source.current(), mtu);
  }

  /** Begins to notice when somebody else changes what was made here. */
  start(): void {
    this.#isActive = true;
    this.#unsettle();
    void this.#listen();
    void this.keepUp();
  }

  /**
   * Resolves when the kernel holds what the map said at the time of the call, or later.
   * @throws OrchdError with what the machine could not do; it is tried again all the same
   */
  refresh(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#apply().finally(() => (this.#running = undefined));
      return this.#running;
    }
    // A change that comes while one is being applied goes with the next, together with all others.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.refresh();
      });
    return this.#next;
  }

  /** As `refresh`, for those who can do nothing about trouble: it is told, and tried again. */
  async keepUp(): Promise<void> {
    try {
      await this.refresh();
      this.#retry?.cancel();
      this.#trouble.over();
    } catch (error) {
      this.#trouble.note(`the node's network lags: ${messageChainOf(error)}`);
      this.#retry?.cancel();
      if (!this.#isActive) return;
      this.#retry = this.#options.clock.after(RETRY_MS, () => void this.keepUp());
    }
  }

  /** Forgets what the kernel held, since somebody else may have changed it. */
  doubt(): void {
    this.#applied = undefined;
    this.#linked = undefined;
  }

  /** New connections since the rules were first made, by published port: `8080/tcp`. */
  async connections(): Promise<Record<string, number>> {
    if (this.#applied === undefined) return {};
    const counters = await this.#options.kernel.counters();
    const byPort = [...counters].flatMap(([name, packets]) => {
      const port = portOfCounter(name);
      return port === undefined ? [] : [[port, packets] as const];
    });
    return Object.fromEntries(byPort);
  }

  /**
   * Takes everything away that was made here, as from a node that has left its cluster. `start`
   * makes it again.
   */
  async leave(): Promise<void> {
    const { kernel, ports } = this.#options;
    this.#isActive = false;
    this.#timer?.cancel();
    await this.#running?.catch(() => undefined);
    await ports.hold([]);
    await kernel.remove();
    this.doubt();
    this.#transactions = 0;
  }

  /** Ends the watch and leaves the kernel as it is. */
  close(): void {
    this.#isActive = false;
    this.#unsubscribe();
    this.#timer?.cancel();
    this.#retry?.cancel();
    this.#options.kernel.close();
  }

  async #apply(): Promise<void> {
    const map = this.#options.source.current();
    if (!this.#isActive) return;
    if (this.#timer !== undefined && this.#isOtherHere(map)) this.#unsettle();
    const before = this.#bridge;
    const links = this.#applyLinks(map);
    // What is to be taken out of the tables does not wait for links, which are slower.
    const [rules, linked] = await Promise.allSettled([this.#applyRules(map), links]);
    if (!equalJson(this.#bridge, before)) await this.#applyRules(map);
    for (const result of [rules, linked]) if (result.status === "rejected") throw result.reason;
  }

  async #applyLinks(map: NetworkMap): Promise<void> {
    const { nodes, mode, range, range6 } = map;
    const { kernel, nodeId } = this.#options;
    const wanted = { nodes, mode, range, ...(range6 === undefined ? {} : { range6 }) };
    if (equalJson(this.#linked, wanted) && !this.#hasNewPort(map)) return;
    this.#linked = undefined;
    const { problems, ...state } = await kernel.setLinks(map, nodeId);
    this.#linked = wanted;
    this.#bridge = state;
    this.#linkProblems = problems;
    this.#tell();
  }

  /** Looks often for a while, beginning soon. */
  #unsettle(): void {
    this.#unsettledUntil = this.#options.clock.monotonicNow() + UNSETTLED_MS;
    if (!this.#isLooking) this.#lookIn(LOOK_SOON_MS);
  }

  async #listen(): Promise<void> {
    const { kernel } = this.#options;
    // A kernel that does not ring does not tell either, which the next look says.
    await kernel.listen(() => this.#onRing()).catch(() => undefined);
    if (!this.#isActive) kernel.close();
  }

  #onRing(): void {
    if (!this.#isActive) return;
    if (this.#isLooking) this.#isRung = true;
    else if (!this.#isSoon) this.#lookIn(LOOK_SOON_MS);
  }

  #lookIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#isSoon = delayMs === LOOK_SOON_MS;
    this.#timer = this.#options.clock.after(delayMs, () => void this.#look());
  }

  /** A task of this node has come, or gone, or is another one than when rules were last made. */
  #isOtherHere({ tasks }: NetworkMap): boolean {
    const isHere = (task: MapTask) => task.nodeId === this.#options.nodeId;
    return !equalJson(this.#appliedMap?.tasks.filter(isHere), tasks.filter(isHere));
  }

  /** A task that got ready here has a port at the bridge, and maybe the bridge is a new one. */
  #hasNewPort({ tasks }: NetworkMap): boolean {
    const { nodeId } = this.#options;
    const isReadyHere = (task: MapTask) => task.nodeId === nodeId && task.isReady;
    const before = new Set(this.#appliedMap?.tasks.filter(isReadyHere).map(({ id }) => id));
    return tasks.some((task) => isReadyHere(task) && !before.has(task.id));
  }

  async #applyRules(map: NetworkMap): Promise<void> {
    const { nodeId, bridge, ports, kernel } = this.#options;
    await ports.hold(portsAnswered(map, nodeId));
    this.#tell();
    const isHeld = ports.isHeld.bind(ports);
    const options = { bridge, isHeld, ...this.#bridge };
    const [inet, inet6] = [nodeRules(map, nodeId, options), ipv6Rules(map, nodeId, options)];
    if (inet === undefined || inet6 === undefined) return;
    const tables = [inet, inet6];
    const had = this.#applied;
    const scripts = tables.map((table, i) => {
      const before = had?.[i];
      return before === undefined ? formatWhole(table) : formatChange(before, table);
    });
    const script = scripts.join("");
    if (script !== "") {
      this.#applied = undefined;
      await kernel.setRules(script);
      this.#transactions++;
    }
    this.#applied = tables;
    const stale = staleFlows(this.#appliedMap, map, nodeId);
    this.#appliedMap = map;
    if (stale !== undefined) await this.#forgetFlows(stale);
  }

  /** Nothing else is wrong when this fails, and it can't be made good later. */
  async #forgetFlows(stale: StaleFlows): Promise<void> {
    try {
      await this.#options.kernel.forgetFlows(stale);
    } catch (error) {
      this.#options.log.warn(`clients of UDP ports may wait: ${messageChainOf(error)}`);
    }
  }

  /** Whether somebody else has changed what was made here; then it is made again. */
  async #look(): Promise<void> {
    const { clock, kernel } = this.#options;
    this.#isLooking = true;
    this.#isRung = false;
    try {
      await this.#consider(clock.monotonicNow());
      this.#lookTrouble.over();
    } catch (error) {
      this.#lookTrouble.note(`the node's network was not looked at: ${messageChainOf(error)}`);
    }
    this.#isLooking = false;
    if (!this.#isActive) return kernel.close();
    const isSoon = this.#isRung || clock.monotonicNow() < this.#unsettledUntil;
    this.#lookIn(isSoon ? LOOK_SOON_MS : LOOK_EVERY_MS);
  }

  async #consider(now: number): Promise<void> {
    const { log, kernel } = this.#options;
    // While one is being applied nobody can tell whose a change is.
    if (this.#running !== undefined) return;
    const isCheck = now - this.#checkedAt >= CHECK_EVERY_MS;
    if (isCheck) this.#checkedAt = now;
    const { links, transactions } = await this.#news();
    const isForeign = transactions !== undefined && transactions !== this.#transactions;
    this.#transactions = 0;
    if (links || isCheck) this.#linked = undefined;
    const isUnknown = isCheck || transactions === undefined;
    if (this.#applied !== undefined && (isForeign || (isUnknown && !(await kernel.hasRules())))) {
      log.warn("somebody has changed orchd's rules: they are made again");
      this.#applied = undefined;
    }
    if (now - this.#firewallsAt >= FIREWALLS_EVERY_MS) await this.#lookAtFirewalls(now);
    // After trouble the next try has its time already, unless somebody has just done something.
    if (this.#trouble.isThere && !isForeign && !links) return;
    if (this.#linked === undefined || this.#applied === undefined) await this.keepUp();
  }

  async #lookAtFirewalls(now: number): Promise<void> {
    const { kernel, source } = this.#options;
    this.#firewallsAt = now;
    this.#firewalls = await kernel.foreignFirewalls(rangesOf(source.current()));
    this.#tell();
  }

  /** What the kernel tells. One that tells nothing is looked at from time to time all the same. */
  async #news(): Promise<KernelNews> {
    const { log, kernel } = this.#options;
    try {
      return await kernel.look();
    } catch (error) {
      if (!this.#isSilenceTold) log.warn(`changes are found later: ${messageChainOf(error)}`);
      this.#isSilenceTold = true;
      return { links: false, transactions: this.#transactions };
    }
  }

  #tell(): void {
    const { ports, onNotes } = this.#options;
    const notes = [...this.#linkProblems, ...ports.problems, ...this.#firewalls];
    if (!this.#bridge.isFiltered) {
      notes.push("tasks on this node are not kept apart: the kernel has no br_netfilter module");
    }
    if (equalJson(notes, this.#notes)) return;
    this.#notes = notes;
    onNotes(notes);
  }
}
