import { randomBelow, type Random } from "../../lib/random.ts";
import { isLive, type Member } from "./member.ts";

/** Draws in search of members that a filter lets through, for each that is wanted. */
const DRAWS_PER_PICK = 16;

/**
 * All members that this process knows, itself included. Every operation costs the same however many
 * there are: the list of the live ones is shuffled one step at a time while it is walked, and a
 * member that died leaves it when somebody comes across its name.
 */
export class Roster {
  readonly self: string;
  readonly #random: Random;
  readonly #members = new Map<string, Member>();
  /** Names in the order of probing; some of them no longer live. */
  readonly #ring: string[] = [];
  /** Names that are in the ring though their member is not live. */
  readonly #staleInRing = new Set<string>();
  /** Names of the dead that may still get gossip, oldest first. */
  #recentlyDead: string[] = [];
  /** Names of all that are dead or left, the longest untouched first. */
  readonly #gone = new Set<string>();
  #ringAt = 0;

  constructor(self: string, random: Random) {
    this.self = self;
    this.#random = random;
  }

  get size(): number {
    return this.#members.size;
  }

  /** How many are alive or suspect, this one included. */
  get liveCount(): number {
    return this.#members.size - this.#gone.size;
  }

  get(name: string): Member | undefined {
    return this.#members.get(name);
  }

  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  put(member: Member): void {
    const { node } = member;
    const before = this.#members.get(node);
    this.#members.set(node, member);
    const wasLive = before !== undefined && isLive(before);
    const nowLive = isLive(member);
    if (wasLive === nowLive && before !== undefined) return;
    if (nowLive) this.#enter(node);
    else this.#leave(member, wasLive);
  }

  forget(name: string): void {
    this.#members.delete(name);
    this.#gone.delete(name);
  }

  /** The next to probe: each live member once in a round, in a new order each round. */
  nextToProbe(): Member | undefined {
    for (let wraps = 0; wraps < 2;) {
      if (this.#ringAt >= this.#ring.length) {
        this.#ringAt = 0;
        wraps += 1;
        if (this.#ring.length === 0) return undefined;
      }
      const left = this.#ring.length - this.#ringAt;
      const at = this.#ringAt + randomBelow(this.#random, left);
      const member = this.#liveAt(at);
      if (member === undefined) continue;
      this.#swap(at, this.#ringAt);
      this.#ringAt += 1;
      if (member.node !== this.self) return member;
    }
    return undefined;
  }

  /** Up to `count` different live members other than this one, drawn at random. */
  pick(count: number, accepts: (member: Member) => boolean): Member[] {
    const picked: Member[] = [];
    for (let draws = count * DRAWS_PER_PICK; draws > 0 && picked.length < count; draws--) {
      if (this.#ring.length === 0) break;
      const member = this.#liveAt(randomBelow(this.#random, this.#ring.length));
      if (member === undefined || member.node === this.self) continue;
      if (!picked.includes(member) && accepts(member)) picked.push(member);
    }
    return picked;
  }

  /** Up to `count` members for gossip: live ones, and those that died after `deadSince`. */
  pickForGossip(count: number, deadSince: number): Member[] {
    this.#expireDead(deadSince);
    const dead = this.#recentlyDead.length;
    if (dead === 0) return this.pick(count, () => true);
    const picked: Member[] = [];
    for (let draws = count * DRAWS_PER_PICK; draws > 0 && picked.length < count; draws--) {
      const at = randomBelow(this.#random, this.#ring.length + dead);
      const name = this.#recentlyDead[at - this.#ring.length];
      const found = name === undefined ? this.#liveAt(at) : this.#members.get(name);
      if (found === undefined || found.node === this.self || picked.includes(found)) continue;
      if (isLive(found) || found.state === "dead") picked.push(found);
    }
    return picked;
  }

  /** A dead member, each in turn. */
  nextDead(): Member | undefined {
    for (let left = this.#gone.size; left > 0; left--) {
      const member = this.#oldestGone();
      if (member === undefined) return undefined;
      this.#gone.delete(member.node);
      this.#gone.add(member.node);
      if (member.state === "dead") return member;
    }
    return undefined;
  }

  #oldestGone(): Member | undefined {
    for (const name of this.#gone) return this.#members.get(name);
    return undefined;
  }

  #enter(name: string): void {
    this.#gone.delete(name);
    if (!this.#staleInRing.delete(name)) this.#ring.push(name);
  }

  #leave({ node, state }: Member, wasLive: boolean): void {
    this.#gone.add(node);
    if (wasLive) this.#staleInRing.add(node);
    if (state === "dead") this.#recentlyDead.push(node);
  }

  /** The live member at a place in the ring; a stale name there is replaced by the last one. */
  #liveAt(at: number): Member | undefined {
    const name = this.#ring[at];
    if (name === undefined) return undefined;
    if (!this.#staleInRing.has(name)) return this.#members.get(name);
    this.#staleInRing.delete(name);
    // What was already probed in this round must stay before `ringAt`.
    if (at < this.#ringAt) {
      this.#ringAt -= 1;
      this.#swap(at, this.#ringAt);
      this.#swap(this.#ringAt, this.#ring.length - 1);
    } else {
      this.#swap(at, this.#ring.length - 1);
    }
    this.#ring.pop();
    return undefined;
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#ring[a], this.#ring[b]];
    if (first === undefined || second === undefined) return;
    this.#ring[a] = second;
    this.#ring[b] = first;
  }

  #expireDead(deadSince: number): void {
    while (this.#recentlyDead.length > 0) {
      const member = this.#members.get(this.#recentlyDead[0] ?? "");
      if (member?.state === "dead" && member.since > deadSince) return;
      this.#recentlyDead.shift();
    }
  }
}
