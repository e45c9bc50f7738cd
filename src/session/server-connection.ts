import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { newId } from "../lib/ids.ts";
import { equalJson } from "../lib/order.ts";
import type { Random } from "../lib/random.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId } from "../model/ids.ts";
import type { NodeFacts } from "../model/node.ts";
import {
  type AgentSession,
  type ServerSession,
  SESSION_END,
  type SessionEvents,
} from "../model/session.ts";
import type { TaskStatus } from "../model/task.ts";
import { AgentEnd } from "./agent-end.ts";
import { backoffMs } from "./backoff.ts";
import { lost } from "./connection.ts";
import { type Dial, dial, type TlsOptions } from "./dial.ts";
import type { Welcome } from "./frames.ts";
import type { Link } from "./link.ts";
import { Refusal, type RefusalReason } from "./refusal.ts";

const EXPIRED: RefusalReason = "certificateExpired";
/** A node that was removed asks now and then whether that was taken back. */
const REMOVED_RETRY_MS = 300_000;
/** A copy of a machine asks now and then whether the other one has gone. */
const COPY_RETRY_MS = 30_000;
/** A session that lasted so long was a good one: the next outage is a new one. */
const GOOD_SESSION_MS = 10_000;
/** A node may be alone for months: each trouble is told once, and so many of them. */
const TOLD_MAX = 8;
/** The server's time is asked for every ten minutes: so many heartbeats. */
const TIME_EVERY = 120;

export interface ServerConnectionOptions {
  clock: Clock;
  log: Log;
  random: Random;
  /** Addresses of servers, `192.0.2.1:6770`; the welcome of each session tells them anew. */
  servers: readonly string[];
  /** Asked before each try: a certificate may have been renewed. */
  tls(): TlsOptions;
  dial?: Dial;
  /** Looks for servers in other ways, when all known addresses have failed twice. */
  findServers?(): Promise<string[]>;
  /** Gets a new certificate, since the server says that this one ran out. */
  renew(): Promise<void>;
  /** A session has begun, and its set comes next; or what it told has changed meanwhile. */
  onWelcome(welcome: Welcome): void;
  /** The server's clock was asked again during a session. */
  onTime?(serverTime: number, roundTripMs: number): void;
}

/** How long to wait, and what people are told once of it. */
interface Pause {
  ms: number;
  why: string;
}

/**
 * The agent's end of its sessions, one after the other, with whichever server can be reached. Goes
 * on trying until it is closed, more and more patiently, and bothers nobody with it.
 */
export class ServerConnection implements ServerSession {
  readonly #options: ServerConnectionOptions;
  readonly #dial: Dial;
  readonly #instance: string;
  #servers: string[];
  /** What the latest search found; tried after the known ones. */
  #found: readonly string[] = [];
  #searchProblems: readonly unknown[] = [];
  #isSearching = false;
  /** Tries in a row that reached nobody. */
  #failed = 0;
  #hello: { agent: AgentSession; facts: NodeFacts; events: SessionEvents | undefined } | undefined;
  #end: AgentEnd | undefined;
  readonly #taken = Promise.withResolvers<void>();
  #ready = Promise.withResolvers<AgentEnd>();
  #sessions = 0;
  #tries = 0;
  #beats = 0;
  /** What people were told since the last session. */
  readonly #told = new Set<string>();
  #isWelcome = false;
  #closed = false;
  #wake = () => {};

  constructor(options: ServerConnectionOptions) {
    this.#options = options;
    this.#dial = options.dial ?? dial;
    this.#servers = [...options.servers];
    this.#instance = newId(options.random);
    // Nobody may be waiting for either when the agent stops.
    this.#taken.promise.catch(() => {});
    this.#ready.promise.catch(() => {});
  }

  /** Whether a session is under way now. */
  get isConnected(): boolean {
    return this.#isWelcome;
  }

  hello(agent: AgentSession, facts: NodeFacts, events?: SessionEvents): Promise<void> {
    this.#hello = { agent, facts, events };
    void this.#run();
    return this.#taken.promise;
  }

  /** Waits for a session where there is none; rejects when the one that took them is lost. */
  async report(_nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    const end = await this.#ready.promise;
    await end.report(statuses);
  }

  leads(): boolean {
    return this.#end !== undefined;
  }

  happened(_nodeId: NodeId, happenings: readonly Happening[]): boolean {
    if (!this.#isWelcome || this.#end === undefined) return false;
    this.#end.happened(happenings);
    return true;
  }

  goodbye(): void {
    this.close();
  }

  /** The addresses of servers, the likeliest first. A wait for the next try ends with this. */
  setServers(servers: readonly string[]): void {
    this.#servers = [...servers];
    this.#wake();
  }

  /** What the machine is from now on, such as its address: the server hears of it at once. */
  setFacts(facts: NodeFacts): void {
    if (this.#hello === undefined || equalJson(this.#hello.facts, facts)) return;
    this.#hello = { ...this.#hello, facts };
    this.reconnect();
  }

  /** Ends the session that is there, so that the next one begins with a new certificate. */
  reconnect(): void {
    this.#tries = 0;
    this.#end?.end(SESSION_END.done, "the agent connects anew");
    this.#wake();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end?.end(SESSION_END.done, "the agent stops");
    this.#ready.reject(lost());
    this.#taken.reject(lost());
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const pause = await this.#once();
      if (this.#closed) return;
      this.#tell(pause.why);
      await this.#sleep(pause.ms);
    }
  }

  /** One session, or one try with every address; then how long to wait. */
  async #once(): Promise<Pause> {
    const found = await this.#connect();
    if (!("link" in found)) return this.#pauseAfter(found);
    const { clock } = this.#options;
    const begin = clock.monotonicNow();
    const { code, reason } = await this.#serve(found.link, found.address);
    if (clock.monotonicNow() - begin >= GOOD_SESSION_MS) this.#tries = 0;
    this.#tries += 1;
    return this.#pauseFor(code, reason);
  }

  /** The first address that takes the agent goes to the front; what went wrong with the others. */
  async #connect(): Promise<{ link: Link; address: string } | { problems: unknown[] }> {
    const problems: unknown[] = [];
    for (const address of new Set([...this.#servers, ...this.#found])) {
      if (this.#closed) break;
      const link = await this.#try(address).catch((error: unknown) => {
        problems.push(named(address, error));
      });
      if (link === undefined) continue;
      this.#failed = 0;
      return { link, address };
    }
    this.#failed += 1;
    // A server that restarts is back in a moment: nobody needs to look for another at once.
    if (this.#failed % 2 === 0 || this.#servers.length === 0) void this.#search();
    return { problems: [...problems, ...this.#searchProblems] };
  }

  /** Connects, with a new certificate if that is what it takes. */
  async #try(address: string): Promise<Link> {
    const options = this.#options;
    try {
      return await this.#dial(address, options.tls());
    } catch (error) {
      if (!(error instanceof Refusal) || error.why !== EXPIRED) throw error;
      await options.renew();
      return this.#dial(address, options.tls());
    }
  }

  /** Looks for servers beside the tries: it takes seconds, and a known one may be back before. */
  async #search(): Promise<void> {
    if (this.#isSearching) return;
    this.#isSearching = true;
    try {
      const found = (await this.#options.findServers?.()) ?? [];
      const isNews = found.some(
        (one) => !this.#servers.includes(one) && !this.#found.includes(one),
      );
      this.#found = found;
      this.#searchProblems = [];
      if (isNews) this.#wake();
    } catch (error) {
      this.#searchProblems = [error];
    } finally {
      this.#isSearching = false;
    }
  }

  #pauseAfter({ problems }: { problems: unknown[] }): Pause {
    this.#tries += 1;
    if (problems.some((one) => isRefusal(one, "removed"))) return this.#pauseAsRemoved();
    const [first] = problems;
    const why = first === undefined ? "no address of a server is known" : messageChainOf(first);
    const text = `no server can be reached, it is tried again and again: ${why}`;
    return { ms: backoffMs(this.#tries, this.#options.random), why: text };
  }

  #pauseAsRemoved(): Pause {
    this.#hello?.events?.onRemoved?.();
    return removedPause();
  }

  #pauseFor(code: number, reason: string): Pause {
    if (code === SESSION_END.removed) return this.#pauseAsRemoved();
    const why = `the session with the server ended: ${reason === "" ? "it broke" : reason}`;
    if (code === SESSION_END.copy) return { ms: COPY_RETRY_MS, why };
    return { ms: backoffMs(this.#tries, this.#options.random), why };
  }

  /** Resolves when the session has ended. */
  #serve(link: Link, address: string): Promise<{ code: number; reason: string }> {
    const { clock, log } = this.#options;
    const hello = this.#hello;
    return new Promise((resolve) => {
      if (hello === undefined || this.#closed) {
        link.terminate();
        return resolve({ code: SESSION_END.done, reason: "" });
      }
      const end: AgentEnd = new AgentEnd({
        link,
        clock,
        log,
        agent: hello.agent,
        instance: this.#instance,
        facts: hello.facts,
        onWelcome: (welcome) => this.#onWelcome(end, welcome, address),
        onNews: (news) => this.#onNews(news, address),
        onHeartbeat: () => this.#onHeartbeat(),
        onEnd: (code, reason) => {
          this.#onEnd();
          resolve({ code, reason });
        },
      });
      this.#end = end;
    });
  }

  #onWelcome(end: AgentEnd, welcome: Welcome, address: string): void {
    this.#options.log.info(`connected to the server at ${address}`);
    this.#told.clear();
    this.#isWelcome = true;
    this.#onNews(welcome, address);
    this.#sessions += 1;
    if (this.#sessions > 1) this.#hello?.events?.onResume();
    this.#ready.resolve(end);
    this.#taken.resolve();
  }

  #onNews(welcome: Welcome, address: string): void {
    const others = welcome.servers.length > 0 ? welcome.servers : this.#servers;
    this.#servers = [address, ...others.filter((other) => other !== address)];
    this.#options.onWelcome(welcome);
  }

  #onEnd(): void {
    this.#end = undefined;
    this.#hello?.events?.onLost();
    if (!this.#isWelcome) return;
    this.#isWelcome = false;
    this.#ready = Promise.withResolvers();
    this.#ready.promise.catch(() => {});
    if (this.#closed) this.#ready.reject(lost());
  }

  #onHeartbeat(): void {
    if (++this.#beats % TIME_EVERY !== 0) return;
    const { clock } = this.#options;
    const askedAt = clock.monotonicNow();
    this.#end
      ?.serverTime()
      .then((serverTime) => this.#options.onTime?.(serverTime, clock.monotonicNow() - askedAt))
      // The session is over: the next welcome tells the time.
      .catch(() => {});
  }

  /** The same trouble again and again is told once. */
  #tell(why: string): void {
    if (this.#told.has(why) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(why);
    this.#options.log.warn(why);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function removedPause(): Pause {
  const why =
    "this node was removed from the cluster: what it was not told to end goes on, and it asks " +
    "again every 5 min; to join anew run `orchd join TOKEN`";
  return { ms: REMOVED_RETRY_MS, why };
}

function isRefusal(error: unknown, why: RefusalReason): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Refusal && cause.why === why;
}

function named(address: string, cause: unknown): OrchdError {
  return new OrchdError("unreachable", address, { retryable: true, cause });
}
