import { Membership } from "../../../src/core/gossip/membership.ts";
import type { Effect, Input } from "../../../src/core/gossip/exchange.ts";
import type { Member } from "../../../src/core/gossip/member.ts";
import type { Address, Message, Versions } from "../../../src/core/gossip/messages.ts";
import { TimerQueue, type Timer } from "../../../src/core/gossip/timer-queue.ts";
import type { Tuning } from "../../../src/core/gossip/tuning.ts";
import { seededRandom, type Random } from "../../../src/lib/random.ts";
import { bytesOfExchange, bytesOfPacket } from "./sizes.ts";

/** How long a member waits for a stream (memberlist, config.go, TCPTimeout). */
const STREAM_TIMEOUT_MS = 10_000;
/** Packets that wait in the socket buffer of a member that reads none. */
const INBOX_MAX = 2000;
const VERSIONS: Versions = [1, 5, 2, 2, 5, 4];
const PORT = 7946;

export interface WorldOptions {
  seed: string;
  members: number;
  tuning: Tuning;
  /** One way, drawn evenly between the two. */
  delayMs?: readonly [number, number];
  /** Share of packets that get lost; streams only take longer. */
  loss?: number;
  /** Whether all know each other at the start; otherwise each joins at the first. */
  isFormed?: boolean;
  /** A fault of ours that was put in: what a member sends instead. */
  tamper?: ((from: string, messages: Message[]) => Message[]) | undefined;
  /** How long a member takes for each packet of those that waited for it; by default no time. */
  backlogMs?: number;
  /** Called for each change that a member sees. */
  onChange?: (change: SeenChange) => void;
}

export interface SeenChange {
  at: number;
  /** Who sees it. */
  seer: SimulatedMember;
  node: string;
  before: Member | undefined;
  after: Member | undefined;
}

/** How a member that is slowed down behaves. */
export type Slowness =
  /** Blocked before each send and after each receive, which it notices (Lifeguard's anomaly). */
  | "blocked"
  /** The same, but its packets seem to go out. */
  | "unaware"
  /** The whole process stands still. */
  | "paused";

export interface SimulatedMember {
  readonly name: string;
  readonly address: Address;
  membership: Membership;
  isUp: boolean;
  slowness: Slowness | undefined;
  /** Number of the side it is on while the network is parted. */
  side: number;
  packets: number;
  packetBytes: number;
  streamBytes: number;
  packetBytesMax: number;
  readonly inbox: (() => void)[];
  /** The next packet of those that waited, once it is no longer slow. */
  worksOff: Timer<() => void> | undefined;
  readonly outbox: Effect[];
  timer: Timer<() => void> | undefined;
  timerAt: number | undefined;
}

/** A cluster under virtual time: the production machine, and a network that loses and delays. */
export class GossipWorld {
  readonly members: SimulatedMember[] = [];
  readonly #options: WorldOptions;
  readonly #events = new TimerQueue<() => void>();
  readonly #byHost = new Map<string, SimulatedMember>();
  readonly #random: Random;
  readonly #seed: Random;
  /** The answers that the member being handled gives on the stream at hand. */
  #answerTo: ((effect: Effect) => void) | undefined;
  #hash = 0x811c9dc5;
  now = 0;
  events = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#seed = seededRandom(options.seed);
    this.#random = this.#seed.split("network");
    const known = options.isFormed === false ? [] : this.#formed(options.members);
    for (let i = 0; i < options.members; i++) this.#add(i, known);
    if (options.isFormed !== false) return;
    const [first] = this.members;
    for (const member of this.members.slice(1)) {
      if (first !== undefined) this.give(member, { type: "join", addresses: [first.address] });
    }
  }

  /** The same for two runs in which the same happened. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16);
  }

  at(time: number, run: () => void): void {
    this.#events.add(time, run);
  }

  /** Lets time pass until `until`, or until `isDone` says so after an event. */
  run(until: number, isDone?: () => boolean): void {
    for (;;) {
      const at = this.#events.nextAt();
      if (at === undefined || at > until) break;
      this.now = Math.max(this.now, at);
      this.#events.takeDue(at)?.();
      this.events += 1;
      if (isDone?.() === true) return;
    }
    this.now = Math.max(this.now, until);
  }

  /** Gives a member an input, and carries out what follows. */
  give(member: SimulatedMember, input: Input): void {
    if (!member.isUp) return;
    const effects = member.membership.handle(input, this.now);
    for (const effect of effects) this.#carryOut(member, effect);
    this.#setTimer(member);
  }

  kill(member: SimulatedMember): void {
    member.isUp = false;
    this.#events.cancel(member.timer);
    this.#events.cancel(member.worksOff);
    member.worksOff = undefined;
    member.inbox.length = 0;
    member.outbox.length = 0;
  }

  /** Starts a member that was killed, without any memory. */
  restart(member: SimulatedMember): void {
    member.isUp = true;
    member.slowness = undefined;
    member.timerAt = undefined;
    member.membership = this.#membership(member, [], undefined);
    this.#setTimer(member);
    const others = this.members.filter((other) => other !== member && other.isUp);
    const addresses = others.slice(0, 3).map(({ address }) => address);
    this.give(member, { type: "join", addresses });
  }

  slow(member: SimulatedMember, slowness: Slowness): void {
    if (!member.isUp || member.slowness !== undefined) return;
    member.slowness = slowness;
    if (slowness === "blocked") this.give(member, { type: "backPressure", isOn: true });
    if (slowness === "paused") this.#events.cancel(member.timer);
  }

  /** What waited goes out at once, and comes in one after the other. */
  free(member: SimulatedMember): void {
    const { slowness } = member;
    if (!member.isUp || slowness === undefined) return;
    member.slowness = undefined;
    for (const effect of member.outbox.splice(0)) this.#carryOut(member, effect);
    if (slowness === "blocked") this.give(member, { type: "backPressure", isOn: false });
    if (slowness === "paused") this.give(member, { type: "tick" });
    this.#workOff(member);
  }

  #workOff(member: SimulatedMember): void {
    if (member.slowness !== undefined || member.worksOff !== undefined) return;
    const { backlogMs = 0 } = this.#options;
    if (backlogMs === 0) {
      for (const arrive of member.inbox.splice(0)) arrive();
      return;
    }
    if (member.inbox.length === 0) return;
    member.worksOff = this.#events.add(this.now + backlogMs, () => {
      member.worksOff = undefined;
      if (!member.isUp || member.slowness !== undefined) return;
      member.inbox.shift()?.();
      this.#workOff(member);
    });
  }

  live(): SimulatedMember[] {
    return this.members.filter(({ isUp }) => isUp);
  }

  /** Notes something in the hash. */
  note(text: string): void {
    let hash = this.#hash;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.#hash = hash;
  }

  #formed(count: number): Member[] {
    return Array.from({ length: count }, (_, i) => ({
      node: nameOf(i),
      address: addressOf(i),
      meta: new Uint8Array(),
      versions: VERSIONS,
      incarnation: 1,
      state: "alive",
      since: 0,
    }));
  }

  #add(index: number, known: readonly Member[]): void {
    const member: Omit<SimulatedMember, "membership"> = {
      name: nameOf(index),
      address: known[index]?.address ?? addressOf(index),
      isUp: true,
      slowness: undefined,
      side: 0,
      packets: 0,
      packetBytes: 0,
      streamBytes: 0,
      packetBytesMax: 0,
      inbox: [],
      worksOff: undefined,
      outbox: [],
      timer: undefined,
      timerAt: undefined,
    };
    const membership = this.#membership(member, known, 1);
    const whole = Object.assign(member, { membership });
    this.members.push(whole);
    this.#byHost.set(member.address.host, whole);
    this.#setTimer(whole);
  }

  #membership(
    { name, address }: Pick<SimulatedMember, "name" | "address">,
    known: readonly Member[],
    incarnation: number | undefined,
  ): Membership {
    const random = this.#seed.split(`${name}/${this.now}`);
    const { tuning } = this.#options;
    const config = { name, address, meta: new Uint8Array(), versions: VERSIONS, tuning, random };
    const first = incarnation === undefined ? {} : { incarnation };
    return new Membership({ ...config, ...first, known, overheadBytes: 0 }, this.now);
  }

  #setTimer(member: SimulatedMember): void {
    if (member.slowness === "paused") return;
    const at = member.membership.nextTimerAt();
    if (at === member.timerAt && member.timer?.value !== undefined) return;
    this.#events.cancel(member.timer);
    member.timerAt = at;
    if (at === undefined) return;
    member.timer = this.#events.add(Math.max(at, this.now), () => {
      this.give(member, { type: "tick" });
    });
  }

  #carryOut(member: SimulatedMember, effect: Effect): void {
    if (effect.type === "changed") return this.#see(member, effect);
    if (member.slowness !== undefined && effect.type !== "answerPushPull") {
      member.outbox.push(effect);
      return;
    }
    switch (effect.type) {
      case "sendPacket":
        return this.#sendPacket(member, effect);
      case "answerPushPull":
        return this.#answerTo?.(effect);
      case "pushPull":
        return this.#openPushPull(member, effect);
      case "streamPing":
        return this.#pingOverStream(member, effect);
      case "left":
        return this.kill(member);
      default:
        this.note(effect.type);
    }
  }

  #see(seer: SimulatedMember, { node, before, after }: Effect & { type: "changed" }): void {
    const state = `${after?.state ?? "gone"} ${after?.incarnation ?? ""}`;
    this.note(`${this.now.toFixed(3)} ${seer.name} ${node} ${state}`);
    this.#options.onChange?.({ at: this.now, seer, node, before, after });
  }

  #sendPacket(from: SimulatedMember, effect: Effect & { type: "sendPacket" }): void {
    const { to } = effect;
    const messages = this.#options.tamper?.(from.name, effect.messages) ?? effect.messages;
    if (messages.length === 0) return;
    const bytes = bytesOfPacket(messages);
    from.packets += 1;
    from.packetBytes += bytes;
    from.packetBytesMax = Math.max(from.packetBytesMax, bytes);
    const target = this.#reach(from, to);
    if (target === undefined || this.#random.next() < (this.#options.loss ?? 0)) return;
    const input: Input = { type: "packet", from: from.address, messages };
    this.#arrive(target, this.#delay(), () => this.give(target, input));
  }

  /** Runs at the target once it arrived and is read. */
  #arrive(target: SimulatedMember, delayMs: number, run: () => void): void {
    this.#events.add(this.now + delayMs, () => {
      if (!target.isUp) return;
      if (target.slowness === undefined && target.worksOff === undefined) return run();
      if (target.inbox.length < INBOX_MAX) target.inbox.push(run);
    });
  }

  #openPushPull(from: SimulatedMember, { id, to, state }: Effect & { type: "pushPull" }): void {
    const target = this.#reach(from, to);
    const giveUpAt = this.now + STREAM_TIMEOUT_MS;
    let isOver = false;
    from.streamBytes += bytesOfExchange(state);
    this.#events.add(giveUpAt, () => {
      if (!isOver) this.give(from, { type: "streamFailed", id });
      isOver = true;
    });
    if (target === undefined) return;
    this.#arrive(target, 3 * this.#streamDelay(), () => {
      if (isOver) return;
      this.#answerTo = (answer) => {
        if (answer.type !== "answerPushPull") return;
        target.streamBytes += bytesOfExchange(answer.state);
        this.#arrive(from, this.#streamDelay(), () => {
          if (!isOver) this.give(from, { type: "pushPullAnswer", id, state: answer.state });
          isOver = true;
        });
      };
      this.give(target, { type: "pushPull", from: from.address, state });
      this.#answerTo = undefined;
    });
  }

  #pingOverStream(from: SimulatedMember, effect: Effect & { type: "streamPing" }): void {
    const target = this.#reach(from, effect.to);
    const { sequence, node } = effect.ping;
    if (target === undefined || target.name !== node || this.now >= effect.deadlineAt) return;
    from.streamBytes += bytesOfPacket([effect.ping]);
    this.#arrive(target, 3 * this.#streamDelay(), () => {
      const ack = { type: "ack", sequence, payload: new Uint8Array() } as const;
      target.streamBytes += bytesOfPacket([ack]);
      this.#arrive(from, this.#streamDelay(), () => {
        if (this.now < effect.deadlineAt) this.give(from, { type: "streamAck", sequence });
      });
    });
  }

  #reach(from: SimulatedMember, to: Address): SimulatedMember | undefined {
    const target = this.#byHost.get(to.host);
    return target?.isUp === true && target.side === from.side ? target : undefined;
  }

  #delay(): number {
    const [least, most] = this.#options.delayMs ?? [0.1, 1];
    return least + this.#random.next() * (most - least);
  }

  /** A lost segment is sent again after a while. */
  #streamDelay(): number {
    const isLost = this.#random.next() < (this.#options.loss ?? 0);
    return this.#delay() + (isLost ? 200 : 0);
  }
}

function nameOf(index: number): string {
  return `node-${index + 1}`;
}

function addressOf(index: number): Address {
  const host = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  return { host, port: PORT };
}
