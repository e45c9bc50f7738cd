import { join } from "node:path";
import type { NodeId } from "../model/ids.ts";
import type { NetworkMap } from "../model/network-map.ts";
import { planLinks } from "../core/network/link-change.ts";
import { mtuOf, NO_LINKS, wantedLinks, type Links, type Underlay } from "../core/network/links.ts";
import type { BridgeState } from "../core/network/node-rules.ts";
import { formatRemoval } from "../core/network/rule-table.ts";
import { allowBridgeFilter } from "./bridge-filter.ts";
import type { StaleFlows } from "../core/network/stale-flows.ts";
import { forgetFlows } from "./conntrack.ts";
import { foreignFirewalls } from "./foreign-firewall.ts";
import { KernelBell, KernelWatch, type KernelNews } from "./kernel-watch.ts";
import { applyLinks, readNetwork, readUnderlay, type FoundNetwork } from "./links.ts";
import { applyNftables, listRules, readCounters } from "./nftables.ts";
import { routeLoopback } from "./sysctl.ts";
import { applyPeers, ensureWireguard, hasWireguard, wireguardKey } from "./wireguard.ts";

/** The node's own bridge, made on the runtime. */
export const NODE_BRIDGE = "orchd0";

const TABLES = ["ip orchd", "ip6 orchd"];

/** What a node's links came to. */
export interface LinksSet extends BridgeState {
  /** Nodes that are not reached and why; a sentence each. */
  problems: string[];
}

export interface NodeNetworkOptions {
  /** The bridge that the runtime makes. */
  bridge: string;
  /** The file with WireGuard's private key. */
  wireguardKeyPath: string;
}

/** The kernel's side of a node's network: it is told what is wanted, and tells what changed. */
export class NodeNetwork {
  readonly #options: NodeNetworkOptions;
  #peers: Links["peers"] = new Map();
  #watch: KernelWatch | undefined;
  #bell: KernelBell | undefined;

  /** That of this machine, with its secrets in the agent's own folder. */
  static of(dataDir: string): NodeNetwork {
    return new NodeNetwork({
      bridge: NODE_BRIDGE,
      wireguardKeyPath: join(dataDir, "wireguard.key"),
    });
  }

  constructor(options: NodeNetworkOptions) {
    this.#options = options;
  }

  /** The node's public key for an encrypted network; undefined where the machine can't have one. */
  async wireguardKey(): Promise<string | undefined> {
    return (await hasWireguard()) ? wireguardKey(this.#options.wireguardKeyPath) : undefined;
  }

  /**
   * Makes devices, routes and addresses as the map wants them, and leaves alone what is there.
   * @throws OrchdError `runtime` with what the machine can't do
   */
  async setLinks(map: NetworkMap, own: NodeId): Promise<LinksSet> {
    const node = map.nodes.find(({ id }) => id === own);
    const underlay = await readUnderlay(node?.address ?? "");
    const { links, problems } = wantedLinks(map, own, underlay);
    const found = await this.#settle(links, map.range6 !== undefined);
    const isFiltered = await this.#filterBridge(found);
    const isTight = (found.bridge?.mtu ?? 0) > mtuOf(map, underlay.mtu);
    const devices = [
      this.#options.bridge,
      ...(links.tunnel === undefined ? [] : [links.tunnel.name]),
    ];
    for (const device of devices) await routeLoopback(device);
    return { problems, isFiltered, isTight };
  }

  readUnderlay(address: string): Promise<Underlay> {
    return readUnderlay(address);
  }

  async setRules(script: string): Promise<void> {
    await applyNftables(script);
  }

  async hasRules(): Promise<boolean> {
    return (await listRules("chain ip orchd forward")) !== undefined;
  }

  foreignFirewalls(ranges: readonly string[]): Promise<string[]> {
    return foreignFirewalls(ranges);
  }

  /** Packets by named counter, of both families together. */
  async counters(): Promise<Map<string, number>> {
    const [sums, more] = await Promise.all([readCounters("ip orchd"), readCounters("ip6 orchd")]);
    for (const [name, packets] of more) sums.set(name, (sums.get(name) ?? 0) + packets);
    return sums;
  }

  async forgetFlows(stale: StaleFlows): Promise<void> {
    await forgetFlows(stale);
  }

  /**
   * What happened since the last call.
   * @throws OrchdError `runtime` when the kernel does not tell
   */
  async look(): Promise<KernelNews> {
    if (this.#watch !== undefined) return this.#watch.look();
    this.#watch = await KernelWatch.open();
    // Nobody has told of what came before.
    return { links: true, transactions: undefined };
  }

  /**
   * Calls whenever there may be something to look at. It replaces the call of before.
   * @throws OrchdError `runtime` when the kernel does not tell
   */
  async listen(onChange: () => void): Promise<void> {
    this.#bell?.close();
    this.#bell = await KernelBell.open(onChange);
  }

  /**
   * Takes away everything that was made here: rules, devices, routes and addresses. What the kernel
   * was allowed to do for all, such as passing packets on, stays: others may rely on it by now.
   */
  async remove(): Promise<void> {
    await applyNftables(TABLES.map(formatRemoval).join(""));
    await this.#settle(NO_LINKS, true);
  }

  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#bell?.close();
    this.#bell = undefined;
  }

  async #settle(links: Links, hasIpv6: boolean): Promise<FoundNetwork> {
    const { bridge, wireguardKeyPath } = this.#options;
    let found = await readNetwork(bridge, hasIpv6);
    const { tunnel, peers } = links;
    if (tunnel?.kind === "wireguard") {
      const isThere = found.links.tunnels.some(({ name }) => name === tunnel.name);
      await ensureWireguard(tunnel, wireguardKeyPath, isThere);
      await applyPeers(tunnel.name, peers, isThere ? this.#peers : new Map());
      this.#peers = peers;
      if (!isThere) found = await readNetwork(bridge, hasIpv6);
    }
    await applyLinks(planLinks(found.links, links));
    return found;
  }

  /** Packets between tasks of one node do not leave its bridge: they are to be looked at there. */
  async #filterBridge({ bridge }: FoundNetwork): Promise<boolean> {
    const isAllowed = await allowBridgeFilter();
    if (bridge === undefined) return isAllowed;
    const { bridge: name } = this.#options;
    const on = ["nf_call_iptables", "nf_call_ip6tables"].map((setting) => `${setting} 1`).join(" ");
    await applyLinks({
      ip: isAllowed && !bridge.isFiltered ? [`link set dev ${name} type bridge ${on}`] : [],
      // A task that is chosen for its own connection to a service gets it through the same port.
      bridge: bridge.straightPorts.map((port) => `link set dev ${port} hairpin on`),
    });
    return isAllowed;
  }
}
