import type { Clock } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { NodeId } from "../model/ids.ts";
import { type ServerSession, SESSION_END } from "../model/session.ts";
import { PROTOCOL, type Welcome } from "./frames.ts";
import type { Link } from "./link.ts";
import { type Hello, RemoteAgent } from "./remote-agent.ts";

/** An agent that connects says hello at once. */
const HELLO_WITHIN_MS = 10_000;
/** How long an older session has to show that its agent is alive. */
const COPY_PROBE_MS = 2000;
/** How long a node that was removed has to read its last set: 250 KB at 64 kbit/s. */
const DISMISS_WITHIN_MS = 30_000;

export interface SessionsOptions {
  clock: Clock;
  log: Log;
  /** Whom the agents talk to. */
  server: ServerSession;
  /** What a node hears when its session begins, and when some of it has changed. */
  welcome(nodeId: NodeId): Welcome;
}

/** The server's sessions with the agents of other machines: one for each node. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #seated = new Map<NodeId, RemoteAgent>();
  /** All that are connected, those as well that have no seat yet. */
  readonly #connected = new Set<RemoteAgent>();
  /** Agents that wait for their seat: of one node the newest. */
  readonly #arriving = new Map<NodeId, RemoteAgent>();
  /** What comes and goes of one node does so in order. */
  readonly #turns = new Map<NodeId, Promise<void>>();
  /** Of nodes that were removed: resolved when all their connections have ended. */
  readonly #dismissed = new Map<NodeId, PromiseWithResolvers<void>>();
  #closed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * Takes a new connection of the node's agent. Who it is was proved by its certificate: nothing
   * that the agent says can change it.
   */
  accept(link: Link, nodeId: NodeId): void {
    const { clock, server } = this.#options;
    const agent = new RemoteAgent({
      nodeId,
      link,
      clock,
      onHello: (hello) => {
        timer.cancel();
        this.#onHello(agent, hello);
      },
      report: (statuses) => server.report(nodeId, statuses),
      happened: (happenings) => void server.happened(nodeId, happenings),
      onEnd: (code, reason) => {
        timer.cancel();
        this.#onEnd(agent, code, reason);
      },
    });
    const timer = clock.after(HELLO_WITHIN_MS, () => {
      agent.close(SESSION_END.invalid, "the agent says nothing");
    });
    this.#connected.add(agent);
    if (this.#closed) agent.close(SESSION_END.serverStops, "the server stops");
  }

  session(nodeId: NodeId): RemoteAgent | undefined {
    const agent = this.#seated.get(nodeId);
    return agent?.isOpen === true ? agent : undefined;
  }

  /** Whether the node's agent gives a sign of life within `timeoutMs`. */
  async probe(nodeId: NodeId, timeoutMs: number): Promise<boolean> {
    return (await this.session(nodeId)?.probe(timeoutMs)) ?? false;
  }

  /** Ends the node's session, whose other end does not answer. */
  giveUp(nodeId: NodeId): void {
    this.session(nodeId)?.close(SESSION_END.silent, "the node is taken for gone");
  }

  /**
   * Tells every node what it would hear if its session began now: the gossip keys, the servers or
   * the peers have changed.
   */
  tellNews(): void {
    for (const agent of this.#seated.values()) {
      if (agent.isOpen && agent.isWelcome) this.#welcome(agent);
    }
  }

  /**
   * Ends every connection of a node that was removed, after it has read that it is to hold nothing.
   * Resolves when they have ended: 30 s later at the latest.
   * @param generation of its last set
   */
  dismiss(nodeId: NodeId, generation: number): Promise<void> {
    const reason = "the node was removed from the cluster";
    const own = [...this.#connected].filter((agent) => agent.nodeId === nodeId);
    if (own.length === 0) return Promise.resolve();
    const dismissed = this.#dismissed.get(nodeId) ?? Promise.withResolvers<void>();
    this.#dismissed.set(nodeId, dismissed);
    for (const agent of own) {
      const isSeated = this.#seated.get(nodeId) === agent && agent.isWelcome;
      if (!isSeated) agent.close(SESSION_END.removed, reason);
      else {
        const set = { generation, assignments: [] };
        agent.dismiss(set, SESSION_END.removed, reason, DISMISS_WITHIN_MS);
      }
    }
    return dismissed.promise;
  }

  /** Ends all sessions; the agents look for a server again. */
  close(): void {
    this.#closed = true;
    for (const agent of this.#connected) agent.close(SESSION_END.serverStops, "the server stops");
  }

  #onHello(agent: RemoteAgent, hello: Hello): void {
    if (hello.protocol !== PROTOCOL) {
      const message = `the agent speaks protocol ${hello.protocol}, this server ${PROTOCOL}`;
      return agent.close(SESSION_END.version, message);
    }
    this.#arriving.get(agent.nodeId)?.close(SESSION_END.replaced, "the agent came again");
    this.#arriving.set(agent.nodeId, agent);
    this.#inTurn(agent.nodeId, () => this.#seat(agent, hello));
  }

  async #seat(agent: RemoteAgent, { facts }: Hello): Promise<void> {
    const { server, log } = this.#options;
    const { nodeId } = agent;
    const before = this.session(nodeId);
    if (before !== undefined && before.instance !== agent.instance) {
      if (await before.probe(COPY_PROBE_MS)) return this.#refuseCopy(agent, facts.hostname);
    }
    if (this.#arriving.get(nodeId) === agent) this.#arriving.delete(nodeId);
    if (!agent.isOpen) return;
    this.#seated.set(nodeId, agent);
    before?.close(SESSION_END.replaced, "a newer session of this agent took its place");
    try {
      this.#welcome(agent);
      await server.hello(agent, facts);
    } catch (error) {
      log.error(`node ${nodeId} is not taken in yet: ${messageChainOf(error)}`);
      agent.close(SESSION_END.tryAgain, "the server can't take the agent in now");
    }
  }

  #welcome(agent: RemoteAgent): void {
    const welcome = this.#options.welcome(agent.nodeId);
    agent.welcome({ type: "welcome", protocol: PROTOCOL, ...welcome });
  }

  #refuseCopy(agent: RemoteAgent, hostname: string): void {
    const { nodeId } = agent;
    this.#options.log.warn(
      `${hostname} says that it is node ${nodeId}, which is connected: is it a copy of that ` +
        "machine? Remove its data directory and let it join anew",
    );
    agent.close(SESSION_END.copy, "another machine with the same key is connected");
  }

  #onEnd(agent: RemoteAgent, code: number, reason: string): void {
    const { log, server } = this.#options;
    const { nodeId } = agent;
    this.#connected.delete(agent);
    this.#settleDismissed(nodeId);
    if (this.#arriving.get(nodeId) === agent) this.#arriving.delete(nodeId);
    if (code === SESSION_END.invalid) log.warn(`the session of node ${nodeId} ends: ${reason}`);
    this.#inTurn(nodeId, async () => {
      if (this.#seated.get(nodeId) !== agent) return;
      this.#seated.delete(nodeId);
      server.goodbye(nodeId);
    });
  }

  #settleDismissed(nodeId: NodeId): void {
    const dismissed = this.#dismissed.get(nodeId);
    if (dismissed === undefined) return;
    if ([...this.#connected].some((agent) => agent.nodeId === nodeId)) return;
    this.#dismissed.delete(nodeId);
    dismissed.resolve();
  }

  #inTurn(nodeId: NodeId, run: () => Promise<void>): void {
    const { log } = this.#options;
    const turn = (this.#turns.get(nodeId) ?? Promise.resolve())
      .then(run)
      .catch((error: unknown) => log.error(`node ${nodeId}: ${messageChainOf(error)}`))
      .finally(() => {
        if (this.#turns.get(nodeId) === turn) this.#turns.delete(nodeId);
      });
    this.#turns.set(nodeId, turn);
  }
}
