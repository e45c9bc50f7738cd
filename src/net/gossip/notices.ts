import { decodeSerfEvent, encodeSerfEvent } from "../../core/gossip/wire/serf-event.ts";
import { OrchdError } from "../../lib/errors.ts";

/** Among what else a serf may tell, ours have these names: for all, and for one member alone. */
const TO_ALL = "orchd";
const TO_ONE = "orchd-direct";
/** Longer ones would not fit into a packet with what is put around them. */
export const NOTICE_BYTES_MAX = 1024;
/** Notices that are known again when they come by another way. */
const REMEMBERED_MAX = 4096;
/** A time that no cluster comes to; whoever tells it can't make ours one that nobody takes. */
const TIME_MAX = 2 ** 52;

/** A notice as it came. */
export interface Heard {
  notice: Uint8Array;
  /** Whether it is for all, and so to be passed on. */
  isForAll: boolean;
}

/** What members tell each other beside who is there: each notice is taken once. */
export class Notices {
  /** Lamport clock of events: one more than the latest that was seen. */
  #time = 1;
  readonly #seen = new Set<number | bigint>();

  /** @throws OrchdError `tooLarge` */
  encode(notice: Uint8Array, to: "all" | "one"): Uint8Array {
    if (notice.length > NOTICE_BYTES_MAX) {
      throw new OrchdError("tooLarge", `a notice has more than ${NOTICE_BYTES_MAX} bytes`);
    }
    const name = to === "all" ? TO_ALL : TO_ONE;
    const message = encodeSerfEvent({ time: this.#time++, name, payload: notice });
    this.#remember(message);
    return message;
  }

  /** The notice in a member's message; undefined when it is none, or was here before. */
  receive(message: Uint8Array): Heard | undefined {
    const event = decodeSerfEvent(message);
    if (event === undefined || event.payload.length > NOTICE_BYTES_MAX) return undefined;
    if (event.name !== TO_ALL && event.name !== TO_ONE) return undefined;
    if (event.time >= this.#time) this.#time = Math.min(event.time + 1, TIME_MAX);
    if (!this.#remember(message)) return undefined;
    return { notice: event.payload, isForAll: event.name === TO_ALL };
  }

  /** Answers whether it is new. */
  #remember(message: Uint8Array): boolean {
    const key = Bun.hash(message);
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED_MAX && oldest !== undefined) this.#seen.delete(oldest);
    return true;
  }
}
