import type { Address, Message } from "../../core/gossip/messages.ts";
import { encodeMessage } from "../../core/gossip/wire/message.ts";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { GossipTransport } from "./transport.ts";

/** Far above the numbers that the membership counts up to for its own pings. */
const FIRST_SEQUENCE = 0xf000_0000;
const LAST_SEQUENCE = 0xffff_ffff;

/** Pings that find out about the way to a member, and not about the member. */
export class Probes {
  readonly #clock: Clock;
  readonly #transport: GossipTransport;
  readonly #waiting = new Map<number, (answered: boolean) => void>();
  #sequence = FIRST_SEQUENCE;

  constructor(clock: Clock, transport: GossipTransport) {
    this.#clock = clock;
    this.#transport = transport;
  }

  byPacket(to: Address, node: string, timeoutMs: number): Promise<boolean> {
    const sequence = this.#next();
    return new Promise((resolve) => {
      const settle = (answered: boolean) => {
        timer.cancel();
        this.#waiting.delete(sequence);
        resolve(answered);
      };
      const timer = this.#clock.after(timeoutMs, () => settle(false));
      this.#waiting.set(sequence, settle);
      this.#transport.send(to, [encodeMessage(pingOf(sequence, node))]);
    });
  }

  /** @throws OrchdError as `exchange` of the transport, and `invalid` for another answer */
  async byStream(to: Address, node: string, timeoutMs: number): Promise<void> {
    const answer = await this.#transport.exchange(to, pingOf(this.#next(), node), timeoutMs);
    if (answer.type === "ack") return;
    throw new OrchdError("invalid", `${to.host} port ${to.port}/tcp answers a ping with no ack`);
  }

  onAck(sequence: number): void {
    this.#waiting.get(sequence)?.(true);
  }

  close(): void {
    for (const settle of this.#waiting.values()) settle(false);
  }

  #next(): number {
    this.#sequence = this.#sequence >= LAST_SEQUENCE ? FIRST_SEQUENCE : this.#sequence + 1;
    return this.#sequence;
  }
}

function pingOf(sequence: number, node: string): Message & { type: "ping" } {
  return { type: "ping", sequence, node };
}
