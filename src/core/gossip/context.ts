import type { Random } from "../../lib/random.ts";
import { Awareness } from "./awareness.ts";
import { BroadcastQueue, COMPOUND_BYTES, COMPOUND_ENTRY_BYTES } from "./broadcast-queue.ts";
import type { Effect, Ignored } from "./exchange.ts";
import type { Member } from "./member.ts";
import { messageBytes } from "./message-size.ts";
import type { Address, Broadcastable, Message, Versions } from "./messages.ts";
import { Roster } from "./roster.ts";
import type { Suspicion } from "./suspicion.ts";
import { TimerQueue, type Timer } from "./timer-queue.ts";
import { suspicionMinMs, transmitLimit, type Tuning } from "./tuning.ts";

/** In a smaller cluster a silence says nothing about who is at fault. */
const DEAF_MEMBERS_MIN = 5;

/** What a member is made of. */
export interface MembershipConfig {
  /** Its name, unique in the cluster; at most 253 bytes. */
  name: string;
  address: Address;
  /** At most 512 bytes. */
  meta: Uint8Array;
  versions: Versions;
  tuning: Tuning;
  random: Random;
  /** What the transport adds to each packet: label, encryption, checksum. */
  overheadBytes: number;
  /** Members known from before, trusted as they are; this one may be among them. */
  known?: Iterable<Member>;
  /** What this member begins with; by default one more than was known of it. */
  incarnation?: number;
}

/**
 * Times of timers and of stalls are whole parts of a millisecond, so that adding and subtracting
 * them is exact, and a timer is due at the very time that was told.
 */
export function onGrid(timeMs: number): number {
  return Math.ceil(timeMs * 1024) / 1024;
}

/** What the parts of one membership share: its time, its members, and what it wants done. */
export class Context {
  readonly config: MembershipConfig;
  readonly tuning: Tuning;
  readonly random: Random;
  readonly roster: Roster;
  readonly awareness: Awareness;
  readonly queue = new BroadcastQueue();
  readonly timers = new TimerQueue<() => void>();
  readonly suspicions = new Map<string, Suspicion>();
  /** Time as this process counts it, in ms: what it slept through is left out. */
  now = 0;
  /** How much of the host's time does not count. */
  sleptMs = 0;
  /** Whether packets are held back and loops have to wait for theirs. */
  isHeld = false;
  hasLeft = false;
  /** When the last packet came in. */
  heardAt: number;
  #effects: Effect[] = [];
  #sequence: number;
  readonly #gossipPhaseMs: number;
  #gossipTimer: Timer<() => void> | undefined;
  #gossipWaits = false;

  constructor(config: MembershipConfig, now: number) {
    this.config = config;
    this.tuning = config.tuning;
    this.random = config.random;
    this.now = now;
    this.heardAt = now;
    this.roster = new Roster(config.name, config.random);
    this.awareness = new Awareness(config.tuning.awarenessMax);
    this.#sequence = Math.floor(config.random.next() * 0x8000);
    this.#gossipPhaseMs = config.random.next() * config.tuning.gossipIntervalMs;
  }

  get self(): Member {
    const self = this.roster.get(this.config.name);
    if (self === undefined) throw new Error("assertion failed: a member knows itself");
    return self;
  }

  /**
   * Whether nothing came in from anybody for so long that the fault is likely to be here. With few
   * others it is as likely that all of them are gone.
   */
  get isDeaf(): boolean {
    const { deafAfterIntervals, probeIntervalMs } = this.tuning;
    return this.#canBeDeaf && this.now - this.heardAt > deafAfterIntervals * probeIntervalMs;
  }

  /** Whether a silence since `time` says more about this member than about another. */
  isSilentSince(time: number): boolean {
    const { tuning, roster, now, heardAt } = this;
    const longestMs = tuning.suspicionMaxMult * suspicionMinMs(tuning, roster.liveCount);
    return this.#canBeDeaf && heardAt < time && now - heardAt < longestMs;
  }

  get #canBeDeaf(): boolean {
    return this.roster.liveCount >= DEAF_MEMBERS_MIN && this.tuning.deafAfterIntervals < Infinity;
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  ignore(why: Ignored, from?: Address): void {
    this.emit({ type: "ignored", why, from });
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  at(time: number, run: () => void): Timer<() => void> {
    return this.timers.add(onGrid(time), run);
  }

  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }

  /** One packet with exactly these messages. */
  send(to: Address, node: string, messages: Message[]): void {
    this.emit({ type: "sendPacket", to, node, messages });
  }

  /** One packet with this message, and as many broadcasts as have room beside it. */
  sendWithGossip(to: Address, node: string, message: Message): void {
    if (this.queue.size === 0) return this.send(to, node, [message]);
    const used = messageBytes(message) + COMPOUND_ENTRY_BYTES;
    this.send(to, node, [message, ...this.#takeGossip(used, 1)]);
  }

  /** Tells all members, over the next rounds of gossip. */
  broadcast(message: Broadcastable, onDone?: () => void): void {
    this.queue.add(message, onDone);
    this.#scheduleGossip();
  }

  /** Goes on with gossip after packets were held back. */
  resumeGossip(): void {
    if (!this.#gossipWaits) return;
    this.#gossipWaits = false;
    this.#gossip();
  }

  /** Gossip has a timer only while there is something to tell. */
  #scheduleGossip(): void {
    if (this.#gossipTimer !== undefined || this.#gossipWaits) return;
    const { gossipIntervalMs } = this.tuning;
    const rounds = Math.floor((this.now - this.#gossipPhaseMs) / gossipIntervalMs) + 1;
    const at = this.#gossipPhaseMs + rounds * gossipIntervalMs;
    this.#gossipTimer = this.at(at, () => this.#gossip());
  }

  #gossip(): void {
    this.#gossipTimer = undefined;
    const { gossipNodes, gossipToTheDeadMs } = this.tuning;
    const deadSince = this.now - gossipToTheDeadMs;
    const listeners = this.roster.pickForGossip(gossipNodes, deadSince);
    // With nobody to tell, the queue waits for the first member that appears.
    if (listeners.length === 0) return;
    for (const { address, node } of listeners) {
      const messages = this.#takeGossip(0, 0);
      if (messages.length === 0) break;
      this.send(address, node, messages);
      // The packet waits, and the loop that sent it waits for it.
      if (this.isHeld) {
        this.#gossipWaits = true;
        return;
      }
    }
    if (this.queue.size > 0) this.#scheduleGossip();
  }

  #takeGossip(usedBytes: number, usedCount: number): Broadcastable[] {
    const { tuning, config, roster } = this;
    const free = tuning.packetBytesMax - config.overheadBytes - COMPOUND_BYTES - usedBytes;
    return this.queue.take(free, transmitLimit(tuning, roster.liveCount), 255 - usedCount);
  }
}
