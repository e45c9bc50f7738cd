import {
  type Client,
  formatOwnAnswer,
  formatRedirect,
  type OwnStatus,
} from "../../core/ingress/format-heads.ts";
import { parseRequestHead, type RequestHead } from "../../core/ingress/request-head.ts";
import { NOTHING } from "./body-feed.ts";
import type { Route } from "../../core/ingress/route-table.ts";
import { Exchange, type ExchangeTools, type FrontSide } from "./exchange.ts";
import type { Wire, WireHandler } from "./wire.ts";

/** The largest head of a request. */
const HEAD_BYTES_MAX = 32 * 1024;
/** What a client may send ahead of its turn. */
const AHEAD_BYTES_MAX = 64 * 1024;
/** A head comes within this from its first byte; the first one from when the client is there. */
const HEAD_MS = 15_000;
const KEEPALIVE_MS = 75_000;
/** A client that takes nothing of its answer for so long is gone. */
const STALL_MS = 60_000;
/** How long a client that was refused may go on sending, so that it reads why. */
const LEAVE_MS = 3000;
const HEAD_END = "\r\n\r\n";

/** One request, when it is over. */
export interface Served {
  client: string;
  method: string;
  host: string;
  /** Without the query, in which there may be what is nobody else's business. */
  path: string;
  status: number;
  bytes: number;
  tookMs: number;
  /** `10.210.1.4:8080` */
  endpoint: string | undefined;
}

export interface FrontTools extends ExchangeTools {
  /** Where clients come by HTTPS; undefined where nobody can. */
  httpsPort: () => number | undefined;
  /** A request for a service has come, whatever becomes of it. */
  onRequest: (route: Route) => void;
  onServed?: (served: Served) => void;
  onClose: (front: FrontConnection) => void;
}

type State = "waiting" | "reading" | "serving" | "leaving" | "closed";

/** One client's connection: request after request. */
export class FrontConnection implements WireHandler, FrontSide {
  readonly client: Client;
  readonly #tools: FrontTools;
  readonly #wire: Wire;
  #state: State = "waiting";
  /** What has come and belongs to no request yet. */
  #ahead: Buffer = NOTHING;
  #exchange: Exchange | undefined;
  #head: RequestHead | undefined;
  #startedAt: number;
  /** When the client is given up; of no meaning while a request is served. */
  #deadline: number;
  /** What waits for the client, and since when it takes nothing of it. */
  #stall: { waiting: number; since: number } | undefined;
  #isReading = false;

  /** @param wire makes the client's connection, for which this is the handler */
  constructor(tools: FrontTools, isSecure: boolean, wire: (handler: WireHandler) => Wire) {
    this.#tools = tools;
    this.#wire = wire(this);
    this.client = { address: this.#wire.remoteAddress, isSecure };
    this.#startedAt = tools.now();
    this.#deadline = this.#startedAt + HEAD_MS;
  }

  /** Whether it could be closed without harm: it waits for a request. */
  get isIdle(): boolean {
    return this.#state === "waiting";
  }

  /** When it is given up, for those that wait. */
  get deadline(): number {
    return this.#deadline;
  }

  onData(bytes: Buffer): void {
    if (this.#state === "leaving" || this.#state === "closed") return;
    if (this.#exchange !== undefined) return this.#exchange.onClientData(bytes);
    this.#ahead = this.#ahead.length === 0 ? bytes : Buffer.concat([this.#ahead, bytes]);
    this.#readHeads();
  }

  onDrain(): void {
    this.#stall = undefined;
    if (this.#state === "leaving") this.#deadline = this.#tools.now() + LEAVE_MS;
    else if (this.#exchange !== undefined) this.#exchange.clientDrained();
    else this.#readHeads();
  }

  onEnd(): void {
    if (this.#state === "serving") this.#exchange?.clientEnded();
    else this.#wire.destroy();
  }

  onClose(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#exchange?.clientClosed();
    this.#tools.onClose(this);
  }

  /** Gives up what takes too long. */
  check(now: number): void {
    if (this.#stall !== undefined) this.#checkStall(this.#stall, now);
    if (this.#state === "serving") this.#exchange?.check(now);
    else if (this.#stall !== undefined || now < this.#deadline) return;
    else if (this.#state === "reading") this.#refuseNow(408, "the head did not come in time");
    else this.destroy();
  }

  /** However slowly: a client that takes some of its answer is there. */
  #checkStall(stall: { waiting: number; since: number }, now: number): void {
    const { waiting } = this.#wire;
    if (waiting !== stall.waiting) this.#stall = { waiting, since: now };
    else if (now - stall.since > STALL_MS) this.destroy();
  }

  destroy(): void {
    this.#wire.destroy();
  }

  write(bytes: Uint8Array): boolean {
    const isTaken = this.#wire.write(bytes);
    if (!isTaken) this.#stall ??= { waiting: this.#wire.waiting, since: this.#tools.now() };
    return isTaken;
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#ahead = this.#ahead.length === 0 ? bytes : Buffer.concat([this.#ahead, bytes]);
    if (this.#ahead.length > AHEAD_BYTES_MAX) this.#wire.pause();
  }

  finish(status: number, bytes: number, keepsAlive: boolean): void {
    this.#note(status, bytes);
    this.#exchange = undefined;
    if (!keepsAlive) return this.#leave();
    this.#wait();
    this.#wire.resume();
    this.#readHeads();
  }

  refuse(status: OwnStatus, why: string): void {
    this.#refuseNow(status, why);
  }

  breakOff(status: number, bytes: number): void {
    this.#note(status, bytes);
    this.#exchange = undefined;
    this.destroy();
  }

  endWay(): void {
    this.#wire.end();
  }

  /** Takes one head after the other, as long as there are whole ones and nothing is served. */
  #readHeads(): void {
    // An answer that is there at once comes back here before its request has returned.
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#canRead() && this.#readHead());
    this.#isReading = false;
  }

  #canRead(): boolean {
    const isBetween = this.#state === "waiting" || this.#state === "reading";
    return isBetween && this.#stall === undefined && this.#ahead.length > 0;
  }

  /** Answers whether there was a whole one. */
  #readHead(): boolean {
    if (this.#state === "waiting") {
      this.#state = "reading";
      this.#startedAt = this.#tools.now();
      this.#deadline = this.#startedAt + HEAD_MS;
    }
    // RFC 9112, section 2.2: an empty line before a request means nothing.
    const from = this.#ahead[0] === 13 && this.#ahead[1] === 10 ? 2 : 0;
    const end = this.#ahead.indexOf(HEAD_END, from);
    if (end < 0 || end > HEAD_BYTES_MAX) {
      if (this.#ahead.length > HEAD_BYTES_MAX) this.#refuseNow(431, "the head is too large");
      return false;
    }
    const head = parseRequestHead(this.#ahead.toString("latin1", from, end + 4));
    const isAll = end + 4 === this.#ahead.length;
    const rest = isAll ? NOTHING : this.#ahead.subarray(end + 4);
    this.#ahead = NOTHING;
    if ("status" in head) this.#refuseNow(head.status, head.why);
    else this.#serve(head, rest);
    return true;
  }

  #serve(head: RequestHead, rest: Buffer): void {
    this.#head = head;
    const route = this.#tools.find(head.host, head.path);
    if (route === undefined) return this.#answer(404, "no service is found here", rest);
    this.#tools.onRequest(route);
    const { redirect, maxBodyBytes = Infinity } = route.rule;
    const httpsPort = redirect && !this.client.isSecure ? this.#tools.httpsPort() : undefined;
    if (httpsPort !== undefined) return this.#redirect(httpsPort, rest);
    if (typeof head.body === "number" && head.body > maxBodyBytes) {
      return this.#refuseNow(413, "the body is too large");
    }
    this.#state = "serving";
    this.#exchange = new Exchange(this, this.#tools, head, route);
    this.#exchange.start(rest);
  }

  /** An answer of ours after which the client may go on, if nothing of its request is unread. */
  #answer(status: OwnStatus, why: string, rest: Buffer): void {
    if (this.#head?.body !== 0 || !this.#head.keepsAlive) return this.#refuseNow(status, why);
    this.#send(formatOwnAnswer(status, why, true));
    this.#note(status, 0);
    this.#wait();
    this.#ahead = rest;
  }

  #redirect(port: number, rest: Buffer): void {
    const head = this.#head;
    if (head === undefined) return;
    const keepsAlive = head.body === 0 && head.keepsAlive;
    this.#send(formatRedirect(head, port, keepsAlive));
    this.#note(308, 0);
    if (!keepsAlive) return this.#leave();
    this.#wait();
    this.#ahead = rest;
  }

  /** An answer of ours that ends the connection. */
  #refuseNow(status: OwnStatus, why: string): void {
    this.#send(formatOwnAnswer(status, why, false));
    this.#note(status, 0);
    this.#exchange = undefined;
    this.#leave();
  }

  #send(text: string): void {
    const shown = this.#head?.method === "HEAD" ? text.slice(0, text.indexOf(HEAD_END) + 4) : text;
    this.write(Buffer.from(shown, "latin1"));
  }

  #wait(): void {
    this.#state = "waiting";
    this.#head = undefined;
    this.#deadline = this.#tools.now() + KEEPALIVE_MS;
  }

  /**
   * Ends our way and lets the client read what it was told. Closing at once would break the
   * connection under the answer while the client still sends.
   */
  #leave(): void {
    if (this.#state === "closed") return;
    this.#state = "leaving";
    this.#ahead = NOTHING;
    this.#deadline = this.#tools.now() + LEAVE_MS;
    this.#wire.resume();
    this.#wire.end();
  }

  #note(status: number, bytes: number): void {
    const { onServed, now } = this.#tools;
    if (onServed === undefined) return;
    const { method = "-", host = "-", path = "-" } = this.#head ?? {};
    const tookMs = now() - this.#startedAt;
    const endpoint = this.#exchange?.endpointKey;
    onServed({ client: this.client.address, method, host, path, status, bytes, tookMs, endpoint });
  }
}
