import { assertNever } from "../../lib/assert.ts";
import { Context, onGrid, type MembershipConfig } from "./context.ts";
import type { Effect, Input } from "./exchange.ts";
import type { Member } from "./member.ts";
import type { Address, Message, Ping, PushedMember } from "./messages.ts";
import { Exchanges } from "./exchanges.ts";
import { INCARNATION_MAX, META_BYTES_MAX } from "./limits.ts";
import { Prober } from "./prober.ts";
import { aliveOf, Refutation } from "./refutation.ts";
import { Relays } from "./relay.ts";
import { Rules } from "./rules.ts";

/**
 * One member of the cluster, as a machine: packets, streams and times go in through `handle`, what
 * is to be sent and what changed comes out. It has no clock, I/O or random source of its own.
 */
export class Membership {
  readonly #context: Context;
  readonly #rules: Rules;
  readonly #prober: Prober;
  readonly #relays: Relays;
  readonly #exchanges: Exchanges;
  #blockedSince: number | undefined;

  /** @param now the host's time in ms; it must never go back, so take a monotonic one */
  constructor(config: MembershipConfig, now: number) {
    const context = new Context(config, now);
    this.#context = context;
    for (const member of config.known ?? []) context.roster.put(member);
    const { name: node, address, meta, versions } = config;
    const known = context.roster.get(node)?.incarnation ?? 0;
    const incarnation = config.incarnation ?? known + 1;
    const state = "alive";
    context.roster.put({ node, address, meta, versions, incarnation, state, since: now });
    this.#prober = new Prober(context, (target) => this.#suspect(target));
    this.#relays = new Relays(context);
    const refutation = new Refutation(context);
    this.#rules = new Rules(context, refutation, {
      onSuspected: (name) => this.#prober.hasten(name),
      onFarAhead: (name) => this.#exchanges.askItself(name),
    });
    this.#exchanges = new Exchanges(context, this.#rules);
  }

  /** What follows from the input at `now`, the host's monotonic time in ms. */
  handle(input: Input, now: number): Effect[] {
    this.#advance(now);
    this.#take(input, now);
    return this.#context.takeEffects();
  }

  /** When to give a `tick`, in the host's time; nothing while packets are held back. */
  nextTimerAt(): number | undefined {
    if (this.#stands) return undefined;
    const at = this.#context.timers.nextAt();
    return at === undefined ? undefined : at + this.#context.sleptMs;
  }

  get self(): Member {
    return this.#context.self;
  }

  /** 0 when this member is well; see `Awareness`. */
  get healthScore(): number {
    return this.#context.awareness.score;
  }

  /** How many members are alive or suspect, this one included. */
  get liveCount(): number {
    return this.#context.roster.liveCount;
  }

  member(name: string): Member | undefined {
    return this.#context.roster.get(name);
  }

  members(): IterableIterator<Member> {
    return this.#context.roster.all();
  }

  /** Whether time does not pass, because packets can't go out and stalls do not count. */
  get #stands(): boolean {
    return this.#blockedSince !== undefined && Number.isFinite(this.#context.tuning.stallMs);
  }

  /**
   * Brings the machine's time to the host's. A process that stood still has not given others the
   * time to answer, so that time does not count for anything that waits.
   */
  #advance(now: number): void {
    const context = this.#context;
    if (this.#stands) return;
    const dueAt = this.nextTimerAt();
    const lateMs = dueAt === undefined ? 0 : now - dueAt;
    if (lateMs > context.tuning.stallMs) this.#wake(lateMs);
    context.now = Math.max(context.now, now - context.sleptMs);
  }

  #wake(lateMs: number): void {
    this.#context.sleptMs += onGrid(lateMs);
    if (lateMs <= this.#context.tuning.stallMs) return;
    this.#context.awareness.change(1);
    if (lateMs > this.#context.tuning.probeIntervalMs) this.#exchanges.hasten();
  }

  #take(input: Input, now: number): void {
    switch (input.type) {
      case "packet":
        return this.#takePacket(input.messages, input.from);
      case "tick":
        return this.#runTimers();
      case "join":
        return this.#exchanges.join(input.addresses);
      case "pushPull":
        return this.#exchanges.answer(input.state, input.from);
      case "pushPullAnswer":
        return this.#exchanges.onAnswer(input.id, input.state);
      case "streamFailed":
        return this.#exchanges.onFailure(input.id);
      case "streamAck":
        return this.#prober.onStreamAck(input.sequence);
      case "leave":
        return this.#leave();
      case "setMeta":
        return this.#changeSelf({ meta: input.meta });
      case "setAddress":
        return this.#changeSelf({ address: input.address });
      case "setUserState":
        return this.#exchanges.setUserState(input.userState);
      case "broadcast":
        return this.#context.broadcast({ type: "user", payload: input.payload });
      case "backPressure":
        return this.#setBackPressure(input.isOn, now);
      default:
        return assertNever(input);
    }
  }

  #runTimers(): void {
    if (this.#stands) return;
    const { timers, now } = this.#context;
    for (let run = timers.takeDue(now); run !== undefined; run = timers.takeDue(now)) run();
  }

  /** What says that somebody lives goes first: it contradicts what comes with it. */
  #takePacket(messages: readonly Message[], from: Address): void {
    this.#rules.hear();
    for (const message of messages) if (message.type === "alive") this.#rules.alive(message, from);
    let isAsked = false;
    for (const message of messages) {
      const asks = message.type === "ping" || message.type === "indirectPing";
      // Nobody sends two in a packet, and each would be worth one that is larger than it.
      if (asks && isAsked) this.#context.ignore("limit", from);
      else this.#takeMessage(message, from);
      isAsked ||= asks;
    }
  }

  #takeMessage(message: Message, from: Address): void {
    switch (message.type) {
      case "alive":
        return;
      case "ping":
        return this.#answerPing(message, from);
      case "indirectPing":
        return this.#relays.start(message, from);
      case "ack":
        this.#relays.onAck(message.sequence);
        return this.#prober.onAck(message.sequence);
      case "nack":
        return this.#prober.onNack(message.sequence);
      case "suspect":
        return this.#rules.suspect(message, from);
      case "dead":
        return this.#rules.dead(message, from);
      case "user":
        return this.#context.emit({ type: "user", from, payload: message.payload });
      default:
        return assertNever(message);
    }
  }

  /**
   * The ack goes to where the ping came from, whatever the ping says, and is no larger than it: a
   * forged sender gets nothing out of it. Gossip goes along only to a member at its own address.
   */
  #answerPing({ sequence, node, source }: Ping, from: Address): void {
    const context = this.#context;
    if (node !== "" && node !== context.self.node) return context.ignore("recipient", from);
    const ack = { type: "ack", sequence, payload: new Uint8Array() } as const;
    const asker = source === undefined ? undefined : context.roster.get(source.node);
    const isMember = asker?.address.host === from.host && asker.address.port === from.port;
    if (isMember) context.sendWithGossip(from, asker.node, ack);
    else context.send(from, "", [ack]);
  }

  #suspect({ incarnation, node }: Member): void {
    const from = this.#context.self.node;
    this.#rules.suspect({ type: "suspect", incarnation, node, from });
  }

  #leave(): void {
    const context = this.#context;
    if (context.hasLeft) return;
    context.hasLeft = true;
    const { incarnation, node } = context.self;
    const isAlone = context.roster.liveCount < 2;
    this.#rules.dead({ type: "dead", incarnation, node, from: node });
    if (isAlone) context.emit({ type: "left" });
  }

  #changeSelf(change: Partial<Pick<PushedMember, "meta" | "address">>): void {
    const context = this.#context;
    if (context.hasLeft) return;
    if (change.meta !== undefined && change.meta.length > META_BYTES_MAX) {
      return context.ignore("meta");
    }
    const before = context.self;
    const incarnation = Math.min(INCARNATION_MAX, before.incarnation + 1);
    const after = { ...before, ...change, incarnation };
    context.roster.put(after);
    context.emit({ type: "changed", node: after.node, before, after });
    context.broadcast(aliveOf(after));
  }

  /** Packets are held back, or go out again. */
  #setBackPressure(isOn: boolean, now: number): void {
    const context = this.#context;
    if (isOn === (this.#blockedSince !== undefined)) return;
    if (isOn) {
      this.#blockedSince = now;
      context.isHeld = !this.#stands;
      return;
    }
    const blockedMs = now - (this.#blockedSince ?? now);
    if (this.#stands) this.#wake(blockedMs);
    this.#blockedSince = undefined;
    this.#advance(now);
    context.isHeld = false;
    this.#prober.resume();
    context.resumeGossip();
    this.#exchanges.resume();
  }
}
