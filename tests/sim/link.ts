import { OrchdError } from "../../src/lib/errors.ts";
import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { NodeFacts } from "../../src/model/node.ts";
import type { AgentSession, ServerSession } from "../../src/model/session.ts";
import type { TaskStatus } from "../../src/model/task.ts";
import type { Random } from "../../src/lib/random.ts";
import { between } from "./chance.ts";
import type { ServerProcess } from "./server-process.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface LinkOptions {
  clock: VirtualClock;
  random: Random;
  /** The server that answers now. */
  server: () => ServerProcess | undefined;
  /** A set arrived at its agent. */
  onDelivered: (nodeId: NodeId, set: AssignmentSet) => void;
}

const RECONNECT_MS = 1000;

/** One agent process's connection: ordered, slow at times, cut when either end dies. */
export class Link implements ServerSession {
  readonly #options: LinkOptions;
  #hello: { session: AgentSession; facts: NodeFacts; done: () => void } | undefined;
  #killed = false;
  #lastArrivalAt = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  kill(): void {
    this.#killed = true;
  }

  /** Resolves once a server has taken the agent in, however long that takes. */
  hello(session: AgentSession, facts: NodeFacts): Promise<void> {
    return new Promise((resolve) => {
      this.#hello = { session, facts, done: resolve };
      this.connect();
    });
  }

  /** Says hello to the server that is there now, again and again until it answers. */
  connect(): void {
    const { clock, server } = this.#options;
    const to = server();
    const hello = this.#hello;
    if (this.#killed || hello === undefined || to === undefined) return;
    const session = this.#sessionFor(hello.session, to);
    to.dispatcher.hello(session, hello.facts).then(
      () => hello.done(),
      () => clock.after(RECONNECT_MS, () => this.connect()),
    );
  }

  async report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    const server = this.#options.server();
    if (server === undefined) throw away();
    await this.#travel();
    if (server.isDead) throw away();
    await Promise.race([server.dispatcher.report(nodeId, statuses), server.end]);
    await this.#travel();
    if (server.isDead) throw away();
  }

  leads(): boolean {
    return true;
  }

  goodbye(nodeId: NodeId): void {
    this.#options.server()?.dispatcher.goodbye(nodeId);
  }

  /** The agent as one server sees it. */
  #sessionFor(agent: AgentSession, server: ServerProcess): AgentSession {
    return {
      nodeId: agent.nodeId,
      successors: () => agent.successors(),
      assign: (set) => {
        if (!server.isDead) this.#deliver(agent, set);
      },
      removeVolumes: async (names) => {
        if (this.#killed) throw away();
        await agent.removeVolumes(names);
      },
      logs: (...args) => agent.logs(...args),
      exec: (...args) => agent.exec(...args),
      images: () => agent.images(),
      loadImage: (archive) => agent.loadImage(archive),
      forward: (...args) => agent.forward(...args),
      close: () => {},
    };
  }

  #deliver(agent: AgentSession, set: AssignmentSet): void {
    const { clock, onDelivered } = this.#options;
    const at = Math.max(this.#lastArrivalAt, clock.now() + this.#delayMs());
    this.#lastArrivalAt = at;
    clock.after(at - clock.now(), () => {
      if (this.#killed) return;
      onDelivered(agent.nodeId, set);
      agent.assign(set);
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
