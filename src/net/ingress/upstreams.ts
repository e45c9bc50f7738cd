import type { Load } from "../../core/ingress/choose-endpoint.ts";
import type { Endpoint } from "../../core/ingress/route-table.ts";
import { BunWire, WIRE_EVENTS } from "./bun-wire.ts";
import type { WireHandler } from "./wire.ts";

/** A machine without power does not refuse connections, it says nothing. */
const CONNECT_MS = 2000;
/** An endpoint that takes no connections gets no requests for so long. */
const ASIDE_MS = 5000;
/** Programs close quiet connections by themselves, most after five seconds or more. */
const IDLE_MS = 30_000;
/** Connections without a request that are kept for an endpoint. */
const IDLE_MAX = 64;
/** After so much silence the kernel asks whether the other machine is still there. */
const KEEPALIVE_MS = 15_000;

/** Who uses a connection to an endpoint. */
export interface BackUser {
  onBackOpen(back: BackConnection): void;
  /** There is no connection; nothing was sent. */
  onBackFailed(): void;
  onBackData(bytes: Buffer): void;
  onBackDrain(): void;
  onBackEnd(): void;
  onBackClose(): void;
}

/** What is known of one endpoint. */
interface Upstream extends Load {
  idle: BackConnection[];
}

/** A connection that is being made. */
interface Attempt {
  key: string;
  user: BackUser | undefined;
  deadline: number;
}

/** A connection to an endpoint: one request at a time, many after one another. */
export class BackConnection implements WireHandler {
  readonly key: string;
  user: BackUser | undefined;
  idleSince = 0;
  readonly #onIdleEnd: (back: BackConnection) => void;
  #wire: BunWire | undefined;

  constructor(key: string, user: BackUser, onIdleEnd: (back: BackConnection) => void) {
    this.key = key;
    this.user = user;
    this.#onIdleEnd = onIdleEnd;
  }

  attach(wire: BunWire): void {
    this.#wire = wire;
  }

  write(bytes: Uint8Array): boolean {
    return this.#wire?.write(bytes) ?? true;
  }

  end(): void {
    this.#wire?.end();
  }

  pause(): void {
    this.#wire?.pause();
  }

  resume(): void {
    this.#wire?.resume();
  }

  destroy(): void {
    this.user = undefined;
    this.#wire?.destroy();
  }

  onData(bytes: Buffer): void {
    // An answer that nobody asked for would be taken for that of the next request.
    if (this.user === undefined) this.#onIdleEnd(this);
    else this.user.onBackData(bytes);
  }

  onDrain(): void {
    this.user?.onBackDrain();
  }

  onEnd(): void {
    if (this.user === undefined) this.#onIdleEnd(this);
    else this.user.onBackEnd();
  }

  onClose(): void {
    const { user } = this;
    this.user = undefined;
    if (user === undefined) this.#onIdleEnd(this);
    else user.onBackClose();
  }
}

/** The connections to all endpoints, and what is known of each by the requests that it got. */
export class Upstreams {
  readonly #now: () => number;
  readonly #byKey = new Map<string, Upstream>();
  readonly #attempts = new Set<Attempt>();
  #isClosed = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Connections that are kept or being made. */
  get size(): number {
    let size = this.#attempts.size;
    for (const { idle } of this.#byKey.values()) size += idle.length;
    return size;
  }

  load(key: string): Upstream {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const made = { outstanding: 0, asideUntil: 0, idle: [] };
    this.#byKey.set(key, made);
    return made;
  }

  /**
   * A kept connection at once, or a new one when it is there.
   * @param idleMaxMs how long a kept connection may have been without a request: its end of it may
   * be closing
   * @returns how to lose interest in a new one
   */
  acquire({ key, address, port }: Endpoint, user: BackUser, idleMaxMs: number): () => void {
    const kept = this.load(key).idle.at(-1);
    if (kept !== undefined && this.#now() - kept.idleSince <= idleMaxMs) {
      this.load(key).idle.pop();
      kept.user = user;
      user.onBackOpen(kept);
      return () => {};
    }
    const attempt: Attempt = { key, user, deadline: this.#now() + CONNECT_MS };
    this.#attempts.add(attempt);
    this.#connect(attempt, address, port);
    return () => (attempt.user = undefined);
  }

  #connect(attempt: Attempt, hostname: string, port: number): void {
    const failed = () => this.#fail(attempt);
    Bun.connect<BunWire>({
      hostname,
      port,
      allowHalfOpen: true,
      socket: {
        ...WIRE_EVENTS,
        open: (socket) => {
          const user = attempt.user ?? NOBODY;
          const back = new BackConnection(attempt.key, user, (idle) => this.#drop(idle));
          socket.data = new BunWire(socket, back);
          back.attach(socket.data);
          socket.setNoDelay(true);
          socket.setKeepAlive(true, KEEPALIVE_MS);
          this.#opened(attempt, back);
        },
        connectError: failed,
      },
    }).catch(failed);
  }

  #opened(attempt: Attempt, back: BackConnection): void {
    const isAwaited = this.#attempts.delete(attempt);
    this.load(attempt.key).asideUntil = 0;
    if (!isAwaited) back.destroy();
    else if (attempt.user === undefined) this.release(back);
    else attempt.user.onBackOpen(back);
  }

  #fail(attempt: Attempt): void {
    if (!this.#attempts.delete(attempt)) return;
    this.load(attempt.key).asideUntil = this.#now() + ASIDE_MS;
    attempt.user?.onBackFailed();
  }

  /** The request is over, and the connection good for the next one. */
  release(back: BackConnection): void {
    back.user = undefined;
    const upstream = this.#byKey.get(back.key);
    if (this.#isClosed || upstream === undefined || upstream.idle.length >= IDLE_MAX) {
      back.destroy();
      return;
    }
    back.idleSince = this.#now();
    upstream.idle.push(back);
  }

  /** Endpoints that get no more requests: what is under way there goes on to its end. */
  retain(keys: ReadonlySet<string>): void {
    for (const [key, { idle }] of this.#byKey) {
      if (keys.has(key)) continue;
      this.#byKey.delete(key);
      for (const back of idle) back.destroy();
    }
  }

  /** Gives up what takes too long, and closes what nobody used for long. */
  sweep(): void {
    const now = this.#now();
    for (const attempt of this.#attempts) if (attempt.deadline <= now) this.#fail(attempt);
    for (const { idle } of this.#byKey.values()) {
      // The one that was used last stands last.
      while (idle[0] !== undefined && now - idle[0].idleSince > IDLE_MS) idle.shift()?.destroy();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.retain(new Set());
    this.#attempts.clear();
  }

  #drop(back: BackConnection): void {
    const idle = this.#byKey.get(back.key)?.idle;
    const index = idle?.indexOf(back) ?? -1;
    if (index >= 0) idle?.splice(index, 1);
    back.destroy();
  }
}

const NOBODY: BackUser = {
  onBackOpen: () => {},
  onBackFailed: () => {},
  onBackData: () => {},
  onBackDrain: () => {},
  onBackEnd: () => {},
  onBackClose: () => {},
};
