import { OrchdError } from "../../src/lib/errors.ts";
import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { NodeFacts } from "../../src/model/node.ts";
import type { AgentSession, ServerSession, SessionEvents } from "../../src/model/session.ts";
import type { TaskStatus } from "../../src/model/task.ts";
import type { Random } from "../../src/lib/random.ts";
import { between, happens } from "./chance.ts";
import type { ServerProcess } from "./server-process.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface LinkOptions {
  clock: VirtualClock;
  random: Random;
  /** The server that answers now. */
  server: () => ServerProcess | undefined;
  /** Whether packets between the two are lost. */
  isCut: () => boolean;
  /** Probability that the set before comes once more after a set. */
  oldSetComes: () => number;
  /** A set arrived at its agent. */
  onDelivered: (nodeId: NodeId, set: AssignmentSet) => void;
}

const RECONNECT_MS = 1000;
/** After so long a silence a server takes a session for lost. */
const SILENCE_MS = 15_000;

interface Hello {
  session: AgentSession;
  facts: NodeFacts;
  events: SessionEvents | undefined;
  done: () => void;
}

interface Connection {
  server: ServerProcess;
  session: AgentSession;
  lastSet?: AssignmentSet;
}

/** One agent process's connection: ordered, slow at times, cut when either end dies. */
export class Link implements ServerSession {
  readonly #options: LinkOptions;
  readonly #lateness: Random;
  #hello: Hello | undefined;
  /** Whether there was a session before. */
  #resumes = false;
  #connection: Connection | undefined;
  #killed = false;
  #lastArrivalAt = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#lateness = options.random.split("lateness");
  }

  /** The agent's process ends; with the power, nobody tells the server. */
  kill(how: "process" | "power"): void {
    this.#killed = true;
    this.#drop(how === "power" ? SILENCE_MS : between(this.#options.random, 0, 100));
  }

  /** Packets are lost from now on: the server hears nothing, and after a while notices. */
  cut(): void {
    this.#drop(SILENCE_MS);
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** The server's process has died: its connections break at once. */
  lose(): void {
    this.#drop(0);
  }

  /** Resolves once a server has taken the agent in, however long that takes. */
  hello(session: AgentSession, facts: NodeFacts, events?: SessionEvents): Promise<void> {
    return new Promise((resolve) => {
      this.#hello = { session, facts, events, done: resolve };
      this.connect();
    });
  }

  /** Says hello to the server that is there now, again and again until it answers. */
  connect(): void {
    const { clock, server: serverNow, isCut } = this.#options;
    const server = serverNow();
    const hello = this.#hello;
    if (this.#killed || hello === undefined || server === undefined || isCut()) return;
    const connection: Connection = { server, session: this.#sessionFor(hello.session, server) };
    this.#connection = connection;
    if (this.#resumes) hello.events?.onResume();
    this.#resumes = true;
    server.dispatcher.hello(connection.session, hello.facts).then(
      () => hello.done(),
      () => clock.after(RECONNECT_MS, () => this.#connection === connection && this.connect()),
    );
  }

  async report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw away();
    const { server } = connection;
    const isBroken = () => server.isDead || this.#connection !== connection;
    await this.#travel();
    if (isBroken()) throw away();
    await Promise.race([server.dispatcher.report(nodeId, statuses), server.end]);
    await this.#travel();
    if (isBroken()) throw away();
  }

  happened(): boolean {
    return true;
  }

  leads(): boolean {
    return this.#connection !== undefined;
  }

  goodbye(nodeId: NodeId): void {
    this.#options.server()?.dispatcher.goodbye(nodeId);
  }

  /** The connection is of no use any more; the server takes it for lost after `noticedMs`. */
  #drop(noticedMs: number): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    if (!this.#killed) this.#hello?.events?.onLost();
    const { server, session } = connection;
    server.clock.after(noticedMs, () => {
      const { dispatcher, isDead } = server;
      if (isDead || dispatcher.session(session.nodeId) !== session) return;
      dispatcher.goodbye(session.nodeId);
    });
  }

  /** The agent as one server sees it. */
  #sessionFor(agent: AgentSession, server: ServerProcess): AgentSession {
    const session: AgentSession = {
      nodeId: agent.nodeId,
      volumes: agent.volumes,
      pruneImages: (keep) => agent.pruneImages(keep),
      generation: () => agent.generation(),
      held: () => agent.held(),
      successors: () => agent.successors(),
      assign: (set) => {
        if (!server.isDead) this.#deliver(agent, session, set);
      },
      // Simulated nodes have no network, and so hear of none.
      network: () => {},
      removeVolumes: async (names) => {
        const isBroken = () => this.#connection?.session !== session;
        if (isBroken()) throw away();
        await this.#travel();
        if (isBroken()) throw away();
        await agent.removeVolumes(names);
        await this.#travel();
        if (isBroken()) throw away();
      },
      logs: (...args) => agent.logs(...args),
      exec: (...args) => agent.exec(...args),
      images: () => agent.images(),
      fetchImages: (references) => agent.fetchImages(references),
      forward: (...args) => agent.forward(...args),
      usage: (taskIds) => agent.usage(taskIds),
      upgrade: (order) => agent.upgrade(order),
      lackedContents: (refs) => agent.lackedContents(refs),
      takeContent: (...args) => agent.takeContent(...args),
      close: () => {},
    };
    return session;
  }

  #deliver(agent: AgentSession, session: AgentSession, set: AssignmentSet): void {
    const { clock, onDelivered, oldSetComes } = this.#options;
    const at = Math.max(this.#lastArrivalAt, clock.now() + this.#delayMs());
    this.#lastArrivalAt = at;
    clock.after(at - clock.now(), () => {
      const connection = this.#connection;
      if (this.#killed || connection?.session !== session) return;
      const before = connection.lastSet;
      connection.lastSet = set;
      onDelivered(agent.nodeId, set);
      agent.assign(set);
      if (before !== undefined && happens(this.#lateness, oldSetComes())) {
        this.#deliverAgain(agent, session, before);
      }
    });
  }

  #deliverAgain(agent: AgentSession, session: AgentSession, set: AssignmentSet): void {
    this.#options.clock.after(between(this.#lateness, 0, 3000), () => {
      if (!this.#killed && this.#connection?.session === session) agent.assign(set);
    });
  }

  /** Never resolves for a process that was killed on the way. */
  #travel(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(this.#delayMs(), () => {
        if (!this.#killed) resolve();
      });
    });
  }

  #delayMs(): number {
    return between(this.#options.random, 0, 20);
  }
}

function away(): OrchdError {
  return new OrchdError("unreachable", "the server does not answer", { retryable: true });
}
