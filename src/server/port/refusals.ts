import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { PeerRefusal } from "../../pki/check-peer.ts";

const LOG_EVERY_MS = 60_000;

/** Why a connection was ended before it could do anything. */
export type Refusal =
  | PeerRefusal
  /** No TLS 1.3, or broken off. */
  | "handshake"
  /** A certificate of ours, of a node that was removed or has another key. */
  | "unknownNode"
  /** Nothing was asked in time. */
  | "silent"
  /** What was asked is no HTTP, or too much of it. */
  | "badRequest"
  | "tooManyConnections"
  | "tooManyWaiting";

/** Counts refusals by reason, and logs a line now and then: a flood must not fill the disk. */
export class Refusals {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counts = new Map<Refusal, number>();
  #loggedAt = -Infinity;
  #unlogged = 0;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** How often, by reason, since the start. */
  get counts(): ReadonlyMap<Refusal, number> {
    return this.#counts;
  }

  add(reason: Refusal, from: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    const now = this.#clock.now();
    // A clock that was set back must not keep the log silent.
    if (now >= this.#loggedAt && now - this.#loggedAt < LOG_EVERY_MS) {
      this.#unlogged++;
      return;
    }
    const more = this.#unlogged === 0 ? "" : `, and ${this.#unlogged} others before it`;
    this.#log.warn(`a connection from ${from} was refused: ${SENTENCES[reason]}${more}`);
    this.#loggedAt = now;
    this.#unlogged = 0;
  }
}

const SENTENCES: Record<Refusal, string> = {
  tooLarge: "its certificate is larger than any of ours",
  unreadable: "its certificate can't be read",
  notOfThisCluster: "its certificate is not of this cluster",
  authority: "its certificate is one of an authority",
  wrongUsage: "its certificate is not for nodes",
  wrongSubject: "its certificate names no node",
  wrongKey: "its certificate has a key that orchd does not make",
  handshake: "it did not get through the TLS 1.3 handshake",
  unknownNode: "its node was removed, or has another key",
  silent: "it asked for nothing in time",
  badRequest: "what it asked is no request",
  tooManyConnections: "there are too many connections",
  tooManyWaiting: "too many connections ask for nothing",
};
