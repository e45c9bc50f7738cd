import { randomInt } from "node:crypto";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Query } from "./query.ts";
import { readReply, type Reply } from "./reply.ts";
import type { Order, UpstreamHealth } from "./upstream-health.ts";
import { askByTcp, openAsking, type Asking, type Upstream } from "./upstream.ts";
import { FLAG, HEADER_BYTES, optRecord, RCODE } from "./wire.ts";

/** How long is waited; a program in a container gives up, or asks again, after 5 s. */
export interface Patience {
  /** Before the next one is asked as well. */
  tryMs: number;
  /** For all of them together. */
  deadlineMs: number;
  /** For one that was dead a moment ago. */
  probeMs: number;
}

export const PATIENCE: Patience = { tryMs: 1000, deadlineMs: 4000, probeMs: 1000 };

export interface LookupOptions {
  query: Query;
  order: Order;
  health: UpstreamHealth;
  clock: Clock;
  /** Milliseconds that only grow. */
  now: () => number;
  patience: Patience;
}

interface Try {
  upstream: Upstream;
  id: number;
  sentAt: number;
  asking: Promise<Asking | undefined>;
  isOver: boolean;
}

/**
 * One question to the name servers outside: each in its turn, and again, until one answers. Who was
 * asked before may still answer while the next one is asked.
 */
export class Lookup {
  readonly #options: LookupOptions;
  readonly #tries = new Map<Upstream, Try>();
  readonly #done = Promise.withResolvers<Reply | undefined>();
  #turns: Upstream[];
  #timers: Timer[] = [];
  /** An answer that says that something went wrong there. */
  #trouble: Reply | undefined;
  /** One has answered, and gives the rest of it over TCP. */
  #isTakingRest = false;
  #isDone = false;

  constructor(options: LookupOptions) {
    this.#options = options;
    const { upstreams, isProbe } = options.order;
    const rounds = isProbe ? 1 : upstreams.length === 1 ? 3 : 2;
    this.#turns = Array.from({ length: rounds }, () => upstreams).flat();
  }

  /** Undefined when nobody answered in time, or nobody is there. */
  async run(): Promise<Reply | undefined> {
    const { clock, patience, order } = this.#options;
    const wholeMs = order.isProbe ? patience.probeMs : patience.deadlineMs;
    this.#timers.push(clock.after(wholeMs, () => this.#finish(this.#trouble)));
    this.#takeTurn();
    const reply = await this.#done.promise;
    for (const timer of this.#timers) timer.cancel();
    for (const { asking } of this.#tries.values()) void asking.then((one) => one?.close());
    return reply;
  }

  #takeTurn(): void {
    if (this.#isDone || this.#isTakingRest) return;
    const { order, clock, patience } = this.#options;
    const isOver = (upstream: Upstream) => this.#tries.get(upstream)?.isOver === true;
    if (order.upstreams.every(isOver)) return this.#finish(this.#trouble);
    const upstream = this.#turns.shift();
    if (upstream === undefined) return;
    if (isOver(upstream)) return this.#takeTurn();
    void this.#send(upstream);
    this.#timers.push(clock.after(patience.tryMs, () => this.#takeTurn()));
  }

  async #send(upstream: Upstream): Promise<void> {
    const one = this.#tries.get(upstream) ?? this.#begin(upstream);
    const asking = await one.asking;
    if (!this.#isDone && !one.isOver) asking?.send(this.#packetFor(one));
  }

  #begin(upstream: Upstream): Try {
    const one: Try = {
      upstream,
      id: randomInt(0x1_0000),
      sentAt: this.#options.now(),
      isOver: false,
      asking: openAsking(upstream, {
        onPacket: (packet) => this.#onPacket(one, packet),
        onRefused: () => this.#onRefused(one),
      }).catch(() => {
        this.#onRefused(one);
        return undefined;
      }),
    };
    this.#tries.set(upstream, one);
    return one;
  }

  #packetFor({ id, upstream }: Try): Buffer {
    const { query, health } = this.#options;
    const opt = health.takesEdns(upstream) ? optRecord(query.edns?.isDnssec === true) : undefined;
    const packet = Buffer.alloc(HEADER_BYTES + query.question.length + (opt?.length ?? 0));
    packet.writeUInt16BE(id, 0);
    packet.writeUInt16BE(FLAG.recursionDesired | (query.flags & FLAG.checkingDisabled), 2);
    packet.writeUInt16BE(1, 4);
    packet.writeUInt16BE(opt === undefined ? 0 : 1, 10);
    packet.set(query.question, HEADER_BYTES);
    if (opt !== undefined) packet.set(opt, packet.length - opt.length);
    return packet;
  }

  /** What answers another question, or has another id, was made by somebody else: it is nothing. */
  #onPacket(one: Try, packet: Buffer): void {
    if (this.#isDone || this.#isTakingRest || one.isOver) return;
    const { query, health, now } = this.#options;
    const reply = readReply(packet, one.id, query.question);
    if (isFormatError(packet, one.id) && health.takesEdns(one.upstream)) {
      health.noteNoEdns(one.upstream);
      void this.#send(one.upstream);
      return;
    }
    if (reply === undefined) return;
    health.noteAnswer(one.upstream, now());
    if (reply.rcode !== RCODE.ok && reply.rcode !== RCODE.noSuchName) {
      this.#trouble = reply;
      one.isOver = true;
      return this.#takeTurn();
    }
    if (!reply.isTruncated) return this.#finish(reply);
    this.#isTakingRest = true;
    void this.#takeRest(one, reply);
  }

  async #takeRest(one: Try, cut: Reply): Promise<void> {
    const { clock, patience, query } = this.#options;
    const packet = this.#packetFor(one);
    const limits = { clock, timeoutMs: patience.tryMs };
    const whole = await askByTcp(one.upstream, packet, limits);
    const reply = whole && readReply(whole, one.id, query.question);
    // A part is better than nothing, and says that it is one.
    this.#finish(reply ?? cut);
  }

  #onRefused(one: Try): void {
    if (this.#isDone || one.isOver) return;
    one.isOver = true;
    const { health, now } = this.#options;
    health.noteSilence(one.upstream, one.sentAt, now());
    this.#takeTurn();
  }

  #finish(reply: Reply | undefined): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const { health, now, patience } = this.#options;
    const time = now();
    for (const { upstream, sentAt, isOver } of this.#tries.values()) {
      if (!isOver && time - sentAt >= patience.tryMs) health.noteSilence(upstream, sentAt, time);
    }
    this.#done.resolve(reply);
  }
}

/** Name servers that don't know EDNS may answer so, some of them without the question. */
function isFormatError(packet: Buffer, id: number): boolean {
  if (packet.length < HEADER_BYTES || packet.readUInt16BE(0) !== id) return false;
  const flags = packet.readUInt16BE(2);
  return (flags & FLAG.response) !== 0 && (flags & FLAG.rcode) === RCODE.formatError;
}
