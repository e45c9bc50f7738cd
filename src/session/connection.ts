import type { z } from "zod";
import type { Clock, Timer } from "../lib/clock.ts";
import { messageOf, OrchdError } from "../lib/errors.ts";
import { SESSION_END } from "../model/session.ts";
import { parseFrame } from "./frames.ts";
import type { Link } from "./link.ts";
import { Outbox } from "./outbox.ts";
import { decodePayload } from "./payload.ts";
import { SessionStream } from "./session-stream.ts";

/** Both ends look this often whether they heard anything, and the agent's end pings. */
export const HEARTBEAT_MS = 5000;
/** After so many looks in a row without a sound the other end is gone: 15 s, at the latest 20 s. */
const SILENT_LOOKS_MAX = 3;
/** Calls at once on one node. */
export const STREAMS_MAX = 1024;

export interface ConnectionOptions<Incoming> {
  link: Link;
  clock: Clock;
  /** What text frames must be, and how long they may be. */
  schema: z.ZodType<Incoming>;
  charactersMax: number;
  /** Whether this end pings: one of the two is enough. */
  pings: boolean;
  /** May throw an `OrchdError`: the frame makes no sense here, and the connection ends. */
  onFrame(frame: Incoming): void;
  /** The next frame of an assignment set, if one waits. */
  nextBulk?(): string | undefined;
  /** A look at the clock: every `HEARTBEAT_MS`. */
  onHeartbeat?(): void;
  /** The last event; `code` is one of `SESSION_END` or of WebSocket's own. */
  onEnd(code: number, reason: string): void;
}

/**
 * One end of a session's connection: frames in and out, streams, and whether the other end is
 * alive. Whatever the other end sends, the worst that follows is the end of this connection.
 */
export class Connection<Incoming, Outgoing> {
  readonly #options: ConnectionOptions<Incoming>;
  readonly #outbox: Outbox;
  readonly #streams = new Map<number, SessionStream>();
  #lastStream = 0;
  #silentLooks = 0;
  #heartbeat: Timer | undefined;
  #ended = false;
  /** Why it ends, once the other end has read everything. */
  #leaving: { code: number; reason: string; until: number; isSaid: boolean } | undefined;
  #leaveTimer: Timer | undefined;
  /** Who waits for a sound of the other end. */
  readonly #listeners = new Set<(alive: boolean) => void>();

  constructor(options: ConnectionOptions<Incoming>) {
    this.#options = options;
    const { link } = options;
    this.#outbox = new Outbox({
      link,
      nextBulk: () => options.nextBulk?.(),
      onOverflow: () => this.end(SESSION_END.silent, "the other end does not read"),
    });
    link.listen({
      onText: (text) => this.#guard(() => this.#onText(text)),
      onBytes: (bytes) => this.#guard(() => this.#onBytes(bytes)),
      onSound: () => this.#onSound(),
      onDrain: () => this.pump(),
      onClose: (code, reason) => this.#finish(code, reason),
    });
    this.#look();
  }

  get isOpen(): boolean {
    return !this.#ended && this.#leaving === undefined;
  }

  send(frame: Outgoing): void {
    this.#outbox.push(JSON.stringify(frame));
  }

  /** Sends what has come to wait in `nextBulk`. */
  pump(): void {
    this.#outbox.pump();
    this.#closeWhenSent();
  }

  /**
   * Begins a stream.
   * @throws OrchdError `unreachable` after the end, `conflict` with too many streams; retryable
   */
  openStream(): SessionStream {
    if (!this.isOpen) throw lost();
    if (this.#streams.size >= STREAMS_MAX) {
      const message = `the node has ${STREAMS_MAX} logs, commands and connections open: try again`;
      throw new OrchdError("conflict", message, { retryable: true });
    }
    return this.#addStream(this.#lastStream + 1);
  }

  /**
   * Takes a stream that the other end began.
   * @throws OrchdError `invalid` for a number that was there before, or more streams than allowed
   */
  adoptStream(id: number): SessionStream {
    if (id <= this.#lastStream) throw new OrchdError("invalid", "a stream begins twice");
    if (this.#streams.size >= 2 * STREAMS_MAX) throw new OrchdError("invalid", "too many streams");
    return this.#addStream(id);
  }

  granted(id: number, bytes: number): void {
    this.#streams.get(id)?.granted(bytes);
  }

  /** The other end gave the stream up. */
  cancelled(id: number): void {
    this.#streams.get(id)?.end();
    this.#streams.delete(id);
  }

  /** Whether the other end gives a sign of life within `timeoutMs`. */
  probe(timeoutMs: number): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      const settle = (alive: boolean) => {
        this.#listeners.delete(settle);
        timer.cancel();
        resolve(alive);
      };
      const timer = this.#options.clock.after(timeoutMs, () => settle(false));
      this.#listeners.add(settle);
      this.#options.link.ping();
    });
  }

  /** Ends the connection and tells the other end why, if it still listens. */
  end(code: number, reason: string): void {
    if (this.#ended) return;
    const { link } = this.#options;
    this.#finish(code, reason);
    if (code === SESSION_END.silent) link.terminate();
    else link.close(code, reason);
  }

  /**
   * Ends the connection as `end` does, once the other end has read every frame that waits for it,
   * or has not within `withinMs`. Streams end at once.
   */
  leave(code: number, reason: string, withinMs: number): void {
    if (!this.isOpen) return;
    const { clock, link } = this.#options;
    this.#leaving = { code, reason, until: clock.monotonicNow() + withinMs, isSaid: false };
    this.#leaveTimer = clock.after(withinMs, () => {
      this.#finish(code, reason);
      link.terminate();
    });
    this.#breakStreams();
    this.pump();
  }

  #closeWhenSent(): void {
    if (this.#leaving === undefined || this.#leaving.isSaid || this.#ended) return;
    if (!this.#outbox.isEmpty) return;
    this.#leaving.isSaid = true;
    const { code, reason, until } = this.#leaving;
    const { link, clock } = this.#options;
    // The answer to the goodbye tells that everything before it was read.
    link.close(code, reason, Math.max(0, until - clock.monotonicNow()));
  }

  #addStream(id: number): SessionStream {
    this.#lastStream = id;
    const forget = (stream: number) => this.#streams.delete(stream);
    const stream = new SessionStream(id, {
      offer: (one) => this.#outbox.offer(one),
      grant: (stream, bytes) => this.#sendText({ type: "grant", stream, bytes }),
      cancel: (stream) => {
        forget(stream);
        this.#sendText({ type: "cancel", stream });
      },
      finished: forget,
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #sendText(frame: object): void {
    this.#outbox.push(JSON.stringify(frame));
  }

  #onText(text: string): void {
    const { schema, charactersMax } = this.#options;
    this.#options.onFrame(parseFrame(schema, text, charactersMax));
  }

  #onBytes(bytes: Uint8Array): void {
    const payload = decodePayload(bytes);
    if (payload === undefined || payload.stream > this.#lastStream) {
      throw new OrchdError("invalid", "a binary frame belongs to no stream");
    }
    const stream = this.#streams.get(payload.stream);
    // Given up a moment ago: what was on its way then is dropped.
    if (stream === undefined) return;
    if (!stream.receive(payload)) {
      throw new OrchdError("invalid", "a stream sends more than it may");
    }
    if (payload.kind !== "result" && payload.kind !== "error") return;
    this.#streams.delete(payload.stream);
    stream.end();
  }

  /** No frame may do more harm than to end the connection that it came on. */
  #guard(handle: () => void): void {
    if (this.#ended) return;
    this.#onSound();
    try {
      handle();
    } catch (error) {
      this.end(SESSION_END.invalid, messageOf(error));
    }
  }

  #onSound(): void {
    this.#silentLooks = 0;
    for (const settle of this.#listeners) settle(true);
  }

  #look(): void {
    if (this.#silentLooks >= SILENT_LOOKS_MAX) {
      return this.end(SESSION_END.silent, "the other end has been silent for 15 s");
    }
    this.#silentLooks += 1;
    if (this.#options.pings) this.#options.link.ping();
    this.#options.onHeartbeat?.();
    this.#heartbeat = this.#options.clock.after(HEARTBEAT_MS, () => this.#look());
  }

  #finish(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#heartbeat?.cancel();
    this.#outbox.close();
    this.#leaveTimer?.cancel();
    this.#breakStreams();
    for (const settle of this.#listeners) settle(false);
    this.#options.onEnd(code, reason);
  }

  #breakStreams(): void {
    const failure = lost();
    for (const stream of this.#streams.values()) stream.end(failure);
    this.#streams.clear();
  }
}

export function lost(): OrchdError {
  const message = "the connection between server and node broke: try again";
  return new OrchdError("unreachable", message, { retryable: true });
}
