import type { Context } from "./context.ts";
import type { Member } from "./member.ts";
import type { Message, Ping } from "./messages.ts";
import type { Timer } from "./timer-queue.ts";

/** From these protocol versions on, a member answers pings over streams, and sends nacks. */
const STREAM_PING_FROM = 3;
const NACK_FROM = 4;
/** Suspects that wait to be probed out of turn. */
const URGENT_MAX = 8;

interface Probe {
  readonly target: Member;
  readonly ping: Ping;
  readonly startedAt: number;
  readonly deadlineAt: number;
  hasAskedOthers: boolean;
  nacksExpected: number;
  nacks: number;
  hasStreamAck: boolean;
  /** Its packets wait in this process, and it waits for them. */
  isHeld: boolean;
  timer: Timer<() => void> | undefined;
}

/**
 * Probes one member after the other: a ping, then pings by others and one over a stream, then a
 * suspicion (SWIM, section 3.1; memberlist, state.go). A probe that takes longer than the interval
 * lets rounds pass.
 */
export class Prober {
  readonly #context: Context;
  readonly #onFailure: (target: Member) => void;
  readonly #urgent: string[] = [];
  #probe: Probe | undefined;
  #nextAt: number;

  constructor(context: Context, onFailure: (target: Member) => void) {
    this.#context = context;
    this.#onFailure = onFailure;
    const { now, tuning, random } = context;
    this.#nextAt = now + random.next() * tuning.probeIntervalMs;
    context.at(this.#nextAt, () => this.#start());
  }

  /** Probes the member before all others: somebody suspects it. */
  hasten(name: string): void {
    if (this.#urgent.length < URGENT_MAX && !this.#urgent.includes(name)) this.#urgent.push(name);
  }

  onAck(sequence: number): void {
    const probe = this.#probe;
    if (probe?.ping.sequence !== sequence || this.#context.now > probe.deadlineAt) return;
    this.#context.awareness.change(-1);
    this.#end();
  }

  onNack(sequence: number): void {
    if (this.#probe?.ping.sequence === sequence) this.#probe.nacks += 1;
  }

  onStreamAck(sequence: number): void {
    if (this.#probe?.ping.sequence === sequence) this.#probe.hasStreamAck = true;
  }

  /** Goes on after packets were held back. */
  resume(): void {
    const probe = this.#probe;
    if (probe === undefined || !probe.isHeld) return;
    probe.isHeld = false;
    this.#wait(probe);
  }

  #start(): void {
    const { context, nextAt } = { context: this.#context, nextAt: this.#nextAt };
    const { probeIntervalMs } = context.tuning;
    // Rounds that passed during the last probe are not made up for.
    const rounds = Math.floor((context.now - nextAt) / probeIntervalMs) + 1;
    this.#nextAt = nextAt + rounds * probeIntervalMs;
    const target = context.hasLeft ? undefined : this.#nextTarget();
    if (target === undefined) {
      context.at(this.#nextAt, () => this.#start());
      return;
    }
    const probe: Probe = {
      target,
      ping: this.#pingFor(target),
      startedAt: context.now,
      deadlineAt: context.now + context.awareness.scale(probeIntervalMs),
      hasAskedOthers: false,
      nacksExpected: 0,
      nacks: 0,
      hasStreamAck: false,
      isHeld: false,
      timer: undefined,
    };
    this.#probe = probe;
    this.#sendPing(probe);
    this.#wait(probe);
  }

  #nextTarget(): Member | undefined {
    const { roster } = this.#context;
    for (let name = this.#urgent.shift(); name !== undefined; name = this.#urgent.shift()) {
      const member = roster.get(name);
      if (member?.state === "suspect") return member;
    }
    return roster.nextToProbe();
  }

  #pingFor(target: Member): Ping {
    const { self, tuning } = this.#context;
    const ping: Ping = {
      type: "ping",
      sequence: this.#context.nextSequence(),
      node: target.node,
    };
    if (tuning.announcesSource) ping.source = { address: self.address, node: self.node };
    return ping;
  }

  /** A suspect hears at once that it is one, so that it can refute (Lifeguard's buddy system). */
  #sendPing({ target, ping }: Probe): void {
    const { node, address, incarnation, state } = target;
    if (state === "alive") return this.#context.sendWithGossip(address, node, ping);
    const from = this.#context.self.node;
    this.#context.send(address, node, [ping, { type: "suspect", incarnation, node, from }]);
  }

  /** Sets the timer for what comes next, unless packets are held back. */
  #wait(probe: Probe): void {
    const context = this.#context;
    if (context.isHeld) {
      probe.isHeld = true;
      return;
    }
    const deadlineAt = Math.max(context.now, probe.deadlineAt);
    if (probe.hasAskedOthers) {
      probe.timer = context.at(deadlineAt, () => this.#judge(probe));
      return;
    }
    // Not scaled by health: waiting longer brings no lost packet back.
    const askAt = Math.min(deadlineAt, context.now + context.tuning.probeTimeoutMs);
    probe.timer = context.at(askAt, () => this.#askOthers(probe));
  }

  #askOthers(probe: Probe): void {
    const { roster, tuning, self } = this.#context;
    const { node, address, versions } = probe.target;
    const isOther = (member: Member) => member.state === "alive" && member.node !== node;
    for (const other of roster.pick(tuning.indirectChecks, isOther)) {
      const wantsNack = other.versions[1] >= NACK_FROM;
      if (wantsNack) probe.nacksExpected += 1;
      const { sequence } = probe.ping;
      const ask: Message = { type: "indirectPing", sequence, target: address, node, wantsNack };
      if (tuning.announcesSource) ask.source = { address: self.address, node: self.node };
      this.#context.sendWithGossip(other.address, other.node, ask);
    }
    if (versions[1] >= STREAM_PING_FROM) {
      const deadlineAt = probe.deadlineAt + this.#context.sleptMs;
      this.#context.emit({ type: "streamPing", to: address, ping: probe.ping, deadlineAt });
    }
    probe.hasAskedOthers = true;
    this.#wait(probe);
  }

  /** The time is over. Nacks that did not come either tell that the fault is nearer. */
  #judge(probe: Probe): void {
    const { awareness } = this.#context;
    if (probe.hasStreamAck) {
      awareness.change(-1);
    } else {
      const { nacksExpected, nacks } = probe;
      awareness.change(nacksExpected > 0 ? Math.max(0, nacksExpected - nacks) : 1);
      // Those who were asked would have said at least that they got no ack either.
      const isCutOff = nacksExpected > 1 && this.#context.isSilentSince(probe.startedAt);
      if (!isCutOff) this.#onFailure(probe.target);
    }
    this.#end();
  }

  #end(): void {
    this.#context.timers.cancel(this.#probe?.timer);
    this.#probe = undefined;
    this.#context.at(Math.max(this.#nextAt, this.#context.now), () => this.#start());
  }
}
