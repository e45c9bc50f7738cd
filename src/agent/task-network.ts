import type { Clock } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { gatewayOf, parseSubnet, type Subnet } from "../core/network/address.ts";
import type { OwnTask } from "../core/network/merge-map.ts";
import type { NodeId, TaskId } from "../model/ids.ts";
import type { NodeFacts } from "../model/node.ts";
import type { PortClaims } from "../net/ports.ts";
import { forwardIpv6, forwardPackets, requireIpv6 } from "../net/sysctl.ts";
import type { Resolver, Runtime } from "../runtime/driver.ts";
import { DataPlane, type PlaneKernel } from "./data-plane.ts";
import { HeldPorts } from "./held-ports.ts";
import { NameServer } from "./name-server.ts";
import { NetworkTable, type NetworkTableOptions } from "./network-table.ts";

/** The node's own network, made on the runtime under the interface's name. */
export interface AgentNetwork {
  interfaceName: string;
  subnet: string;
  /** The cluster's IPv6 network; absent where tasks have no addresses of it. */
  range6?: string;
  /** What carries packets; absent for a runtime whose tasks send none and ask for no names. */
  kernel?: PlaneKernel;
}

export interface TaskNetworkOptions {
  nodeId: NodeId;
  network: AgentNetwork;
  facts: NodeFacts;
  clock: Clock;
  random: Random;
  log: Log;
  runtime: Pick<Runtime, "ensureNetwork" | "removeNetwork">;
  ports: PortClaims;
  memory: NetworkTableOptions["memory"];
  /** The tasks of this node as they are now; undefined before that is known. */
  ownTasks(): OwnTask[] | undefined;
  /** The name servers that a task is to use for names outside; none means those of the machine. */
  serversOf: (taskId: TaskId) => readonly string[];
  /** Whether a session with a server is under way. */
  isLed(): boolean;
  /** Whether the runtime is known to hold no container of this node. */
  isEmpty(): boolean;
  /** Hears what people should put right, whenever that is something else than before. */
  onNotes(notes: string[]): void;
}

/**
 * The network of this node's tasks: what is known of it, what carries its packets, and who answers
 * to its names. It stays while orchd is restarted, and goes when the node leaves the cluster.
 */
export class TaskNetwork {
  readonly table: NetworkTable;
  readonly subnet: Subnet;
  readonly #options: TaskNetworkOptions;
  readonly #plane: DataPlane | undefined;
  #names: NameServer | undefined;
  /** The cluster has this node no more. */
  #isRemoved = false;
  /** And what was made of its network is gone. */
  #hasLeft = false;

  /** @throws OrchdError `invalid` when the network's range is none */
  constructor(options: TaskNetworkOptions) {
    this.#options = options;
    const { nodeId, network, facts, clock, log, memory } = options;
    const { interfaceName: bridge, subnet: range, kernel } = network;
    const subnet = parseSubnet(range);
    if (subnet === undefined) {
      throw new OrchdError("invalid", `${range} is not an IPv4 network such as 10.210.1.0/24`);
    }
    this.subnet = subnet;
    const { hostname, address, wireguardKey } = facts;
    const key = wireguardKey === undefined ? {} : { wireguardKey };
    this.table = new NetworkTable({
      self: { id: nodeId, hostname, address, subnet: range, ...key },
      clock,
      log,
      memory,
      ownTasks: () => options.ownTasks(),
      isLed: () => options.isLed(),
    });
    if (kernel === undefined) return;
    const source = this.table;
    const ports = new HeldPorts(options.ports);
    const onNotes = (notes: string[]) => options.onNotes(notes);
    this.#plane = new DataPlane({ nodeId, bridge, source, kernel, ports, clock, log, onNotes });
  }

  /** Makes the bridge, and begins to carry packets and to answer to names. */
  async prepare(): Promise<void> {
    const { network, runtime, facts } = this.#options;
    const { interfaceName: name, subnet, range6 } = network;
    const mtu = await this.#plane?.taskMtu(facts.address);
    const more = {
      ...(range6 === undefined ? {} : { range6 }),
      ...(mtu === undefined ? {} : { mtu }),
    };
    if (range6 !== undefined && this.#plane !== undefined) await requireIpv6();
    await runtime.ensureNetwork({ name, subnet, gateway: gatewayOf(this.subnet), ...more });
    if (this.#plane === undefined) return;
    await forwardPackets();
    if (range6 !== undefined) await forwardIpv6();
    this.#names ??= this.#newNames();
    await this.#names.start();
    this.#plane.start();
  }

  #newNames(): NameServer {
    const { network, clock, random, log, serversOf } = this.#options;
    const { prefix } = this.subnet;
    return new NameServer({
      bridge: { name: network.interfaceName, address: gatewayOf(this.subnet), prefix },
      source: this.table,
      serversOf,
      clock,
      now: () => clock.monotonicNow(),
      random,
      log,
    });
  }

  /** What containers are told of names; undefined where they are told what the machine is. */
  resolver(): Resolver | undefined {
    return this.#names?.resolver();
  }

  /** The runtime was looked at afresh: somebody may have changed what was made here as well. */
  doubt(): void {
    this.table.refreshOwn();
    this.#plane?.doubt();
    void this.#plane?.keepUp();
    void this.leaveIfEmpty();
  }

  /** Whether other nodes may lead packets to this task. */
  isLedTo(taskId: TaskId): boolean {
    return this.#plane !== undefined && this.table.isLedTo(taskId);
  }

  /** Resolves when the kernel follows what the table says now, or can't be made to. */
  async keepUp(): Promise<void> {
    this.table.refreshOwn();
    await this.#plane?.keepUp();
  }

  /** New connections since the rules were last made, by port: `8080/tcp`. */
  async connections(): Promise<Record<string, number>> {
    return (await this.#plane?.connections()) ?? {};
  }

  /** The node is in the cluster no more: its network goes with its last container. */
  removed(): void {
    this.#isRemoved = true;
    void this.leaveIfEmpty();
  }

  /** A removed node whose last task is gone leaves the machine as it found it. */
  async leaveIfEmpty(): Promise<void> {
    const { network, runtime, log } = this.#options;
    if (!this.#isRemoved || this.#hasLeft || !this.#options.isEmpty()) return;
    this.#hasLeft = true;
    try {
      this.#names?.close();
      this.#names = undefined;
      await runtime.removeNetwork(network.interfaceName);
      await this.#plane?.leave();
      log.info("the node has left the cluster: its network is gone from this machine");
    } catch (error) {
      // It is tried again with the next session that is refused.
      this.#hasLeft = false;
      log.warn(`the node's network is still there: ${messageChainOf(error)}`);
    }
  }

  /** The cluster has this node, also again, as after its server was put back from a backup. */
  async resume(): Promise<void> {
    this.#isRemoved = false;
    if (!this.#hasLeft) return;
    this.#hasLeft = false;
    try {
      await this.prepare();
    } catch (error) {
      this.#options.log.error(`the network could not be made again: ${messageChainOf(error)}`);
    }
  }

  close(): void {
    this.#names?.close();
    this.#plane?.close();
    this.table.close();
  }
}
