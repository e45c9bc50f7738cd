import type { Random } from "../../lib/random.ts";
import { chooseEndpoint, type Load } from "../../core/ingress/choose-endpoint.ts";
import {
  type Client,
  formatRequest,
  formatResponse,
  type OwnStatus,
} from "../../core/ingress/format-heads.ts";
import type { RequestHead } from "../../core/ingress/request-head.ts";
import { parseResponseHead, type ResponseHead } from "../../core/ingress/response-head.ts";
import { mayRetry } from "../../core/ingress/retry.ts";
import type { Endpoint, Route } from "../../core/ingress/route-table.ts";
import { stickyLine, stickyTask } from "../../core/ingress/sticky.ts";
import { BodyFeed, NOTHING } from "./body-feed.ts";
import type { BackConnection, BackUser, Upstreams } from "./upstreams.ts";

/** A head of an answer that is larger is none. */
const HEAD_BYTES_MAX = 64 * 1024;
/** Head and body go out as one where that costs little. */
const JOIN_BYTES_MAX = 16 * 1024;
/** A request that can't be sent again takes no connection that its service may be closing. */
const FRESH_MS = 1000;
/** An answer that is no longer than this is kept back until it is whole: a task may die in it. */
const WHOLE_BYTES_MAX = 16 * 1024;
/** One that takes its time goes out as it comes. */
const WHOLE_WITHIN_MS = 1000;
/** A client that sends a body may pause for so long. */
const BODY_SILENCE_MS = 30_000;
const HEAD_END = "\r\n\r\n";

/** What one request needs of the connection that it came by. */
export interface FrontSide {
  readonly client: Client;
  /** Answers false when the client reads slowly: `clientDrained` follows. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Bytes that belong to the next request. */
  keep(bytes: Buffer): void;
  /** The answer has gone out whole. */
  finish(status: number, bytes: number, keepsAlive: boolean): void;
  /** Nothing of an answer has gone out. */
  refuse(status: OwnStatus, why: string): void;
  /** The answer can't be brought to its end, and the client must see that. */
  breakOff(status: number, bytes: number): void;
  /** Both ways carry something else from now on. */
  endWay(): void;
}

export interface ExchangeTools {
  upstreams: Upstreams;
  /** The route as it is now. */
  find: (host: string, path: string) => Route | undefined;
  random: Random;
  /** Milliseconds that only grow. */
  now: () => number;
}

type Phase = "connecting" | "asking" | "answering" | "tunnel" | "over";

/** One request and its answer, on the way between a client and an endpoint. */
export class Exchange implements BackUser {
  readonly head: RequestHead;
  route: Route;
  readonly #front: FrontSide;
  readonly #tools: ExchangeTools;
  readonly #request: BodyFeed;
  readonly #tried = new Set<string>();
  #phase: Phase = "connecting";
  #retries = 0;
  /** Of the request's body, what came before there was a connection. */
  #held: Buffer[] = [];
  #endpoint: Endpoint | undefined;
  #load: Load | undefined;
  #back: BackConnection | undefined;
  #forget = () => {};
  #wasSent = false;
  /** Of the answer's head, what has come. */
  #partial: Buffer = NOTHING;
  #hasAnswer = false;
  #response: ResponseHead | undefined;
  #answer: BodyFeed | undefined;
  /** What is kept back of an answer until it is whole, and until when. */
  #unsent: { parts: Buffer[]; until: number } | undefined;
  /** Of the two ways of a tunnel, which have ended. */
  #clientEnded = false;
  #backEnded = false;
  /** Whether the client may ask for more on its connection. */
  #keepsClient = false;
  #deadline: number;

  constructor(front: FrontSide, tools: ExchangeTools, head: RequestHead, route: Route) {
    this.head = head;
    this.route = route;
    this.#front = front;
    this.#tools = tools;
    this.#request = new BodyFeed(head.body);
    this.#deadline = tools.now() + route.rule.timeoutMs;
  }

  get endpointKey(): string | undefined {
    return this.#endpoint?.key;
  }

  /** @param first what came behind the head */
  start(first: Buffer): void {
    if (this.#request.isDone) this.#front.keep(first);
    else if (first.length > 0) this.#held.push(first);
    this.#try();
  }

  /** Sends the request to an endpoint that it was not sent to before. */
  #try(): void {
    const { upstreams, random, now } = this.#tools;
    const { route, head } = this;
    const endpoint = chooseEndpoint({
      endpoints: route.endpoints,
      loadOf: ({ key }) => upstreams.load(key),
      tried: this.#tried,
      wanted: route.rule.sticky ? stickyTask(route, head.cookie) : undefined,
      now: now(),
      random,
    });
    if (endpoint === undefined) {
      const isNone = route.endpoints.length === 0;
      this.#refuse(isNone ? 503 : 502, isNone ? "no task is ready" : "no task could be reached");
      return;
    }
    this.#phase = "connecting";
    this.#endpoint = endpoint;
    this.#load = upstreams.load(endpoint.key);
    this.#load.outstanding += 1;
    const canRepeat = mayRetry({ ...this.#failure(), wasSent: true, retries: 0 });
    const idleMaxMs = canRepeat && this.#retries === 0 ? Infinity : FRESH_MS;
    if (!this.#request.isDone) this.#front.pause();
    this.#forget = upstreams.acquire(endpoint, this, idleMaxMs);
  }

  onBackOpen(back: BackConnection): void {
    this.#back = back;
    this.#phase = "asking";
    this.#wasSent = true;
    this.#touch();
    const head = Buffer.from(formatRequest(this.head, this.route, this.#front.client), "latin1");
    const held = this.#held;
    this.#held = [];
    if (this.#request.isDone) {
      back.write(head);
      return;
    }
    this.#front.resume();
    back.write(head);
    for (const bytes of held) if (this.#phase === "asking") this.onClientData(bytes);
  }

  onBackFailed(): void {
    this.#again("could not be reached");
  }

  onBackDrain(): void {
    this.#touch();
    if (this.#phase !== "over") this.#front.resume();
  }

  onBackEnd(): void {
    if (this.#phase !== "tunnel") return this.onBackClose();
    this.#backEnded = true;
    this.#front.endWay();
  }

  onBackClose(): void {
    const back = this.#back;
    this.#back = undefined;
    if (back !== undefined) back.destroy();
    if (this.#phase === "asking") this.#again("ended the connection without an answer");
    else if (this.#phase === "tunnel" && this.#backEnded) this.#endTunnel();
    else if (this.#phase === "tunnel") this.#over(() => this.#breakOff());
    else if (this.#phase === "answering") {
      if (this.#unsent !== undefined) this.#again("ended the connection in its answer");
      else if (this.#response?.body === "untilClose") this.#finish(false);
      else this.#over(() => this.#breakOff());
    }
  }

  /** Tries another endpoint, or tells the client that there is none. */
  #again(what: string): void {
    const failure = this.#failure();
    if (this.#endpoint !== undefined) this.#tried.add(this.#endpoint.key);
    this.#letGo();
    this.#partial = NOTHING;
    this.#response = undefined;
    this.#answer = undefined;
    this.#unsent = undefined;
    if (!mayRetry(failure)) return this.#refuse(502, `the task ${what}`);
    // An only task may have closed a connection that was kept, and take a new one.
    if (this.#wasSent && this.route.endpoints.length === 1) this.#tried.clear();
    this.#retries += 1;
    // The task may be gone, and another one have its place.
    this.route = this.#tools.find(this.head.host, this.head.path) ?? this.route;
    this.#try();
  }

  #failure() {
    const { method, body } = this.head;
    const [wasSent, hasAnswer, retries] = [this.#wasSent, this.#hasAnswer, this.#retries];
    return { method, hasBody: body !== 0, wasSent, hasAnswer, retries };
  }

  /** The client sends: of this request's body, or of what comes after it. */
  onClientData(bytes: Buffer): void {
    if (this.#phase === "tunnel") {
      if (this.#back?.write(bytes) === false) this.#front.pause();
      return;
    }
    if (this.#request.isDone) return this.#front.keep(bytes);
    if (this.#phase === "connecting") {
      this.#held.push(bytes);
      return;
    }
    this.#touch();
    const { part, rest } = this.#request.take(bytes);
    if (this.#request.isBroken) return this.#spoil(400, "chunks that are none");
    const { maxBodyBytes = Infinity } = this.route.rule;
    if (this.#request.bytes > maxBodyBytes) return this.#spoil(413, "the body is too large");
    if (part.length > 0 && this.#back?.write(part) === false) this.#front.pause();
    if (rest.length > 0) this.#front.keep(rest);
  }

  /** The client has read what was waiting for it. */
  clientDrained(): void {
    this.#back?.resume();
  }

  /** The client ends its way: a request in the making has nobody who waits for its answer. */
  clientEnded(): void {
    if (this.#phase !== "tunnel") return this.#over(() => this.#breakOff());
    this.#clientEnded = true;
    this.#back?.end();
  }

  clientClosed(): void {
    if (this.#phase === "tunnel" && this.#clientEnded && this.#backEnded) this.#endTunnel();
    else this.#over(() => this.#breakOff());
  }

  /** What still waits to go out, either way, goes: both connections end by themselves. */
  #endTunnel(): void {
    if (this.#back !== undefined) this.#back.user = undefined;
    this.#back = undefined;
    this.#over(() => this.#front.finish(101, this.#sent, false));
  }

  /** Bytes of the answer's body that were handed to the client. */
  get #sent(): number {
    return this.#answer?.bytes ?? 0;
  }

  /** Gives up what takes too long. */
  check(now: number): void {
    if (this.#unsent !== undefined && now >= this.#unsent.until) this.#sendUnsent();
    if (now < this.#deadline) return;
    if (this.#phase === "connecting" || this.#phase === "asking") {
      if (this.#request.isDone || this.#phase === "connecting") {
        return this.#refuse(504, "the task did not answer in time");
      }
      this.#refuse(408, "the body did not come in time");
    } else if (this.#phase === "answering" && !this.#request.isDone) {
      this.#over(() => this.#breakOff());
    }
  }

  onBackData(bytes: Buffer): void {
    if (this.#phase === "tunnel") return this.#passOn(bytes);
    if (this.#phase === "answering") return this.#passOn(bytes);
    const all = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes]);
    const end = all.indexOf(HEAD_END);
    if (end < 0) {
      this.#partial = all;
      if (all.length > HEAD_BYTES_MAX)
        this.#refuse(502, "the task's answer has no end of its head");
      return;
    }
    this.#partial = NOTHING;
    const head = parseResponseHead(all.toString("latin1", 0, end + 4), this.head.method);
    if (head === undefined) return this.#refuse(502, "the task's answer is not HTTP/1.1");
    this.#onHead(head, all.subarray(end + 4));
  }

  #onHead(response: ResponseHead, rest: Buffer): void {
    const { head } = this;
    if (response.status === 101) return this.#switch(response, rest);
    if (response.status < 200) {
      // HTTP/1.0 knows no answers before the answer.
      if (head.isHttp11) this.#toClient(Buffer.from(formatResponse(response, ""), "latin1"));
      if (rest.length > 0) this.onBackData(rest);
      return;
    }
    if (!head.isHttp11 && response.body === "chunked") {
      return this.#refuse(502, "the task's answer comes in chunks that HTTP/1.0 does not know");
    }
    this.#response = response;
    this.#answer = new BodyFeed(response.body);
    this.#phase = "answering";
    const isShort = typeof response.body === "number" && response.body <= WHOLE_BYTES_MAX;
    if (isShort && mayRetry({ ...this.#failure(), retries: 0 })) {
      this.#unsent = { parts: [], until: this.#tools.now() + WHOLE_WITHIN_MS };
    }
    const hasEnd = response.body !== "untilClose";
    this.#keepsClient = this.head.keepsAlive && hasEnd && this.#request.isDone;
    const text = Buffer.from(formatResponse(response, this.#addedLines()), "latin1");
    if (this.#answer.isDone || rest.length === 0 || rest.length > JOIN_BYTES_MAX) {
      this.#toClient(text);
      if (this.#answer.isDone) this.#finish(rest.length === 0);
      else if (rest.length > 0) this.#passOn(rest);
      return;
    }
    this.#passOn(rest, text);
  }

  #addedLines(): string {
    const { client } = this.#front;
    const { rule } = this.route;
    let lines = "";
    if (rule.sticky && this.#endpoint !== undefined) {
      const { taskId } = this.#endpoint;
      if (stickyTask(this.route, this.head.cookie) !== taskId) {
        lines += stickyLine(this.route, taskId, client.isSecure);
      }
    }
    if (!this.#keepsClient) lines += "Connection: close\r\n";
    else if (!this.head.isHttp11) lines += "Connection: keep-alive\r\n";
    return lines;
  }

  /** The service speaks another protocol from here on, as the client asked for. */
  #switch(response: ResponseHead, rest: Buffer): void {
    if (this.head.upgrade === undefined || response.upgrade === undefined) {
      return this.#refuse(502, "the task changes to a protocol that nobody asked for");
    }
    this.#phase = "tunnel";
    this.#response = response;
    this.#answer = new BodyFeed("untilClose");
    this.#toClient(Buffer.from(formatResponse(response, ""), "latin1"));
    if (rest.length > 0) this.#passOn(rest);
  }

  /** @param before what goes out together with the first bytes of the body */
  #passOn(bytes: Buffer, before?: Buffer): void {
    const answer = this.#answer;
    if (answer === undefined) return;
    const { part, rest } = answer.take(bytes);
    if (answer.isBroken) return this.#over(() => this.#breakOff());
    const out = before === undefined ? part : Buffer.concat([before, part]);
    if (out.length > 0) this.#toClient(out);
    if (answer.isDone) this.#finish(rest.length === 0);
  }

  #toClient(bytes: Buffer): void {
    if (this.#unsent !== undefined) {
      this.#unsent.parts.push(bytes);
      return;
    }
    this.#hasAnswer = true;
    if (!this.#front.write(bytes)) this.#back?.pause();
  }

  #sendUnsent(): void {
    const { parts } = this.#unsent ?? { parts: [] };
    this.#unsent = undefined;
    const [first] = parts;
    if (first !== undefined) this.#toClient(parts.length === 1 ? first : Buffer.concat(parts));
  }

  /** @param isClean whether nothing came behind the answer */
  #finish(isClean: boolean): void {
    const response = this.#response;
    const back = this.#back;
    if (response === undefined || this.#phase === "over") return;
    this.#sendUnsent();
    const isReusable = isClean && response.keepsAlive && this.#request.isDone && this.head.isHttp11;
    this.#phase = "over";
    this.#back = undefined;
    this.#letGo();
    if (back !== undefined) {
      // It may have been paused for the sake of a client that reads slowly.
      back.resume();
      if (isReusable) this.#tools.upstreams.release(back);
      else back.destroy();
    }
    this.#front.finish(response.status, this.#sent, this.#keepsClient);
  }

  /** The request can't be brought to its end. */
  #spoil(status: OwnStatus, why: string): void {
    if (this.#phase === "asking" && !this.#hasAnswer) this.#refuse(status, why);
    else this.#over(() => this.#breakOff());
  }

  #refuse(status: OwnStatus, why: string): void {
    this.#over(() => this.#front.refuse(status, why));
  }

  #breakOff(): void {
    this.#front.breakOff(this.#response?.status ?? 499, this.#sent);
  }

  #over(then: () => void): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#forget();
    this.#letGo();
    this.#back?.destroy();
    this.#back = undefined;
    then();
  }

  /** The endpoint has one request less. */
  #letGo(): void {
    if (this.#load !== undefined) this.#load.outstanding -= 1;
    this.#load = undefined;
  }

  #touch(): void {
    const { timeoutMs } = this.route.rule;
    const isWaiting = this.#request.isDone;
    this.#deadline =
      this.#tools.now() + (isWaiting ? timeoutMs : Math.max(timeoutMs, BODY_SILENCE_MS));
  }
}
