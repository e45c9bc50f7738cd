import { randomBelow } from "../../lib/random.ts";
import type { Context } from "./context.ts";
import type { Address, PushedMember, PushPull } from "./messages.ts";
import type { Rules } from "./rules.ts";
import type { Timer } from "./timer-queue.ts";
import { pushPullIntervalMs } from "./tuning.ts";
import { isMemberAddress } from "./wire/address.ts";

/** Addresses that are kept to find the cluster again. */
const SEEDS_MAX = 16;

/**
 * Full exchanges over streams: they bring in what gossip missed, make a new member known, and bring
 * together what a long cut has parted (memberlist, state.go, pushPull; serf's reconnects).
 */
export class Exchanges {
  readonly #context: Context;
  readonly #rules: Rules;
  readonly #seeds: Address[] = [];
  /** Exchanges that this member began: with whom, and whether it was to join. */
  readonly #pending = new Map<number, { to: Address; join: boolean }>();
  #userState: Uint8Array = new Uint8Array();
  #timer: Timer<() => void> | undefined;
  #isHeld = false;
  #lastId = 0;
  #asksFrom = 0;

  constructor(context: Context, rules: Rules) {
    this.#context = context;
    this.#rules = rules;
    const { now, random, tuning } = context;
    const stagger = random.next() * tuning.pushPullIntervalMs;
    this.#schedule(now + stagger + this.#intervalMs());
    if (tuning.reconnectIntervalMs > 0) this.#scheduleReconnect(random.next());
  }

  setUserState(userState: Uint8Array): void {
    this.#userState = userState;
  }

  join(addresses: readonly Address[]): void {
    for (const address of addresses.filter(isMemberAddress).slice(0, SEEDS_MAX)) {
      const isKept = this.#seeds.some(
        (seed) => seed.host === address.host && seed.port === address.port,
      );
      if (!isKept) this.#seeds.push(address);
      if (this.#seeds.length > SEEDS_MAX) this.#seeds.shift();
      this.#open(address, true);
    }
  }

  /** The state before the peer's: each then has what the other had. */
  answer(state: PushPull, from: Address): void {
    this.#context.emit({ type: "answerPushPull", state: this.#state(state.join) });
    this.#merge(state, from);
  }

  onAnswer(id: number, state: PushPull): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#merge({ ...state, join: pending.join }, undefined, pending.to);
  }

  onFailure(id: number): void {
    this.#pending.delete(id);
  }

  /**
   * Asks a member where it is known to be what it says of itself. Whoever accused it may have told
   * it alone, and so pushed its incarnation beyond what the others follow.
   */
  askItself(name: string): void {
    const { now, roster, tuning, self, hasLeft } = this.#context;
    const known = roster.get(name);
    if (hasLeft || known === undefined || name === self.node || now < this.#asksFrom) return;
    this.#asksFrom = now + tuning.probeIntervalMs;
    this.#open(known.address, false);
  }

  /** Exchanges soon: this member has missed a while. */
  hasten(): void {
    this.#context.timers.cancel(this.#timer);
    this.#schedule(this.#context.now);
  }

  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#exchange();
  }

  #schedule(at: number): void {
    this.#timer = this.#context.at(at, () => this.#exchange());
  }

  #intervalMs(): number {
    return pushPullIntervalMs(this.#context.tuning, this.#context.roster.liveCount);
  }

  #exchange(): void {
    const { now, roster, hasLeft, isHeld } = this.#context;
    if (hasLeft) return;
    if (isHeld) {
      this.#isHeld = true;
      return;
    }
    this.#schedule(now + this.#intervalMs());
    const [peer] = roster.pick(1, ({ state }) => state === "alive");
    if (peer !== undefined) this.#open(peer.address, false);
  }

  #scheduleReconnect(share: number): void {
    const context = this.#context;
    context.at(context.now + share * context.tuning.reconnectIntervalMs, () => {
      this.#reconnect();
      this.#scheduleReconnect(1);
    });
  }

  /**
   * Alone, this member asks where it once joined; in company all members together ask each dead one
   * about once an interval, as serf does.
   */
  #reconnect(): void {
    const { roster, random, hasLeft } = this.#context;
    if (hasLeft) return;
    const isAlone = roster.liveCount < 2;
    const seed = this.#seeds[randomBelow(random, Math.max(1, this.#seeds.length))];
    if (isAlone && seed !== undefined) this.#open(seed, true);
    const dead = roster.size - roster.liveCount;
    if (random.next() * roster.liveCount >= dead) return;
    const target = roster.nextDead();
    if (target !== undefined) this.#open(target.address, false);
  }

  #open(to: Address, join: boolean): void {
    this.#lastId += 1;
    this.#pending.set(this.#lastId, { to, join });
    this.#context.emit({ type: "pushPull", id: this.#lastId, to, state: this.#state(join) });
  }

  #state(join: boolean): PushPull {
    const members = [...this.#context.roster.all()];
    return { join, members, userState: this.#userState };
  }

  /** @param asked where the peer is that was asked */
  #merge({ members, join, userState }: PushPull, from: Address | undefined, asked?: Address): void {
    for (const member of members) this.#mergeMember(member, from, asked);
    if (userState.length > 0) {
      this.#context.emit({ type: "userState", payload: userState, join });
    }
  }

  /** What a peer calls dead is only suspected here: it may be the peer that sees nobody. */
  #mergeMember(pushed: PushedMember, from: Address | undefined, asked?: Address): void {
    const { node, incarnation, state, address, meta, versions } = pushed;
    const self = this.#context.self.node;
    if (state === "alive") {
      const message = { type: "alive", incarnation, node, address, meta, versions } as const;
      const known = this.#context.roster.get(node)?.address;
      const isOwnWord = asked?.host === known?.host && asked?.port === known?.port;
      return this.#rules.alive(message, from, isOwnWord);
    }
    if (state === "left") {
      return this.#rules.dead({ type: "dead", incarnation, node, from: node }, from);
    }
    this.#rules.suspect({ type: "suspect", incarnation, node, from: self }, from);
  }
}
