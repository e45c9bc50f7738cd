import type { Clock } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { CLUSTER_TUNINGS } from "../core/gossip/tuning.ts";
import type { GossipPreset } from "../model/gossip-preset.ts";
import { formatServerAddress, splitServerAddress } from "../model/server-address.ts";
import {
  startMember,
  type GossipMember,
  type MemberChange,
  type Tags,
} from "../net/gossip/gossip-member.ts";
import { Keyring } from "../net/gossip/keyring.ts";

export interface MembershipOptions {
  /** The node's id. */
  name: string;
  tags: Tags;
  /** The address by which others reach this node. */
  address: string;
  bind: { host: string; port: number };
  /** By which numbers it goes; `orchd` when absent. */
  preset?: GossipPreset;
  /** Base 64, the primary key first. */
  gossipKeys: readonly string[];
  clock: Clock;
  random: Random;
  log: Log;
  onChange(change: MemberChange): void;
  /** What another member told all. */
  onNotice(notice: string): void;
}

/**
 * This node's part in the gossip of the cluster. Where its port can't be had, the node goes on
 * without: its session with the server tells that it is alive.
 */
export class Membership {
  readonly #keyring: Keyring;
  readonly #member: GossipMember | undefined;
  /** Why this node takes no part; undefined while it does. */
  readonly trouble: string | undefined;

  private constructor(keyring: Keyring, member: GossipMember | undefined, trouble?: string) {
    this.#keyring = keyring;
    this.#member = member;
    this.trouble = trouble;
  }

  static async start(options: MembershipOptions): Promise<Membership> {
    const { name, tags, bind, address, preset = "orchd", clock, random, log } = options;
    const [primary, ...others] = options.gossipKeys.map(decodeKey);
    if (primary === undefined) throw new Error("a cluster has a gossip key");
    const keyring = new Keyring(primary, others);
    const advertise = { host: address, port: bind.port };
    try {
      const member = await startMember({
        name,
        tags,
        bind,
        advertise,
        keyring,
        tuning: CLUSTER_TUNINGS[preset],
        clock,
        random,
        log,
        onChange: (change) => options.onChange(change),
        onNotice: (notice) => options.onNotice(new TextDecoder().decode(notice)),
      });
      return new Membership(keyring, member);
    } catch (error) {
      const trouble = `this node takes no part in gossip: ${messageChainOf(error)}`;
      log.error(trouble);
      return new Membership(keyring, undefined, trouble);
    }
  }

  /** Meets these members, `ip:port`, unless they are known to be alive already. */
  async meet(peers: readonly string[]): Promise<void> {
    const member = this.#member;
    if (member === undefined) return;
    const live = new Set<string>();
    for (const { node, state, address } of member.members()) {
      if (node !== member.name && state === "alive")
        live.add(formatServerAddress(address.host, address.port));
    }
    const strangers = peers.filter((peer) => !live.has(peer));
    if (strangers.length > 0) await member.join(strangers.map(splitServerAddress));
  }

  /** Whether a ping over UDP comes back from the member at `peer`, `ip:port`, in time. */
  async packet(peer: string, timeoutMs: number): Promise<boolean> {
    const to = this.#at(peer);
    return (await this.#member?.probe(to.address, to.node, timeoutMs)) ?? false;
  }

  /** The same over TCP. @throws OrchdError as `probeStream` of the member */
  async stream(peer: string, timeoutMs: number): Promise<void> {
    const to = this.#at(peer);
    await this.#member?.probeStream(to.address, to.node, timeoutMs);
  }

  /** Where the members that are alive gossip, `ip:port`, this one first. */
  peers(max: number): string[] {
    const member = this.#member;
    if (member === undefined) return [];
    const { host, port } = member.advertised;
    const others: string[] = [];
    for (const { node, state, address } of member.members()) {
      if (others.length + 1 >= max) break;
      if (node === member.name || state !== "alive") continue;
      others.push(formatServerAddress(address.host, address.port));
    }
    return [formatServerAddress(host, port), ...others];
  }

  /** The machine is reached by another address from now on. */
  moveTo(address: string): void {
    const member = this.#member;
    if (member === undefined || member.advertised.host === address) return;
    member.setAdvertise({ ...member.advertised, host: address });
  }

  /** Takes the cluster's keys as they are now: base 64, the primary one first. */
  useKeys(gossipKeys: readonly string[]): void {
    const wanted = gossipKeys.map(decodeKey);
    for (const key of wanted) this.#keyring.add(key);
    const [primary] = wanted;
    if (primary !== undefined) this.#keyring.use(primary);
    const kept = new Set(gossipKeys);
    for (const key of this.#keyring.list()) {
      if (!kept.has(Buffer.from(key).toString("base64"))) this.#keyring.remove(key);
    }
  }

  /** Whoever answers there, before the member is known by name. */
  #at(peer: string): { address: { host: string; port: number }; node: string } {
    for (const { node, address } of this.#member?.members() ?? []) {
      if (formatServerAddress(address.host, address.port) === peer) return { address, node };
    }
    return { address: splitServerAddress(peer), node: "" };
  }

  /** Tells all members, or one alone by its name. */
  notify(notice: string, only?: string): void {
    this.#member?.notify(new TextEncoder().encode(notice), only);
  }

  /** Says farewell, so that nobody has to find out. */
  async leave(): Promise<void> {
    await this.#member?.leave();
  }

  close(): void {
    this.#member?.close();
  }
}

function decodeKey(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
