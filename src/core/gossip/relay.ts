import type { Context } from "./context.ts";
import type { Address, IndirectPing, Ping } from "./messages.ts";
import type { Timer } from "./timer-queue.ts";

/** Probes for others at once; more are refused. */
const RELAYS_MAX = 256;

interface Relay {
  /** The sequence of who asked. */
  readonly sequence: number;
  readonly asker: Address;
  readonly timer: Timer<() => void>;
}

/**
 * Pings members for others that got no answer from them. Only members that are known are pinged,
 * where they are known to be: nobody can point this member at a machine outside the cluster.
 */
export class Relays {
  readonly #context: Context;
  readonly #relays = new Map<number, Relay>();

  constructor(context: Context) {
    this.#context = context;
  }

  start(request: IndirectPing, from: Address): void {
    const context = this.#context;
    const target = context.roster.get(request.node);
    if (target === undefined || target.node === context.self.node) {
      return context.ignore("stranger", from);
    }
    if (this.#relays.size >= RELAYS_MAX) return context.ignore("limit", from);
    const sequence = context.nextSequence();
    const timer = context.at(context.now + context.tuning.probeTimeoutMs, () => {
      this.#relays.delete(sequence);
      if (!request.wantsNack) return;
      context.send(from, "", [{ type: "nack", sequence: request.sequence }]);
    });
    this.#relays.set(sequence, { sequence: request.sequence, asker: from, timer });
    const ping: Ping = { type: "ping", sequence, node: target.node };
    if (context.tuning.announcesSource) {
      ping.source = { address: context.self.address, node: context.self.node };
    }
    context.sendWithGossip(target.address, target.node, ping);
  }

  /** Passes an ack on to who asked. */
  onAck(sequence: number): void {
    const relay = this.#relays.get(sequence);
    if (relay === undefined) return;
    this.#relays.delete(sequence);
    this.#context.timers.cancel(relay.timer);
    const ack = { type: "ack", sequence: relay.sequence, payload: new Uint8Array() } as const;
    this.#context.send(relay.asker, "", [ack]);
  }
}
