import type { Log } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { AssignmentSet } from "../../../src/model/assignment.ts";
import type { NodeId, TaskId } from "../../../src/model/ids.ts";
import type { NetworkChange, NetworkSource } from "../../../src/model/network-change.ts";
import type { ContentRef } from "../../../src/model/item.ts";
import type { NodeFacts } from "../../../src/model/node.ts";
import type {
  AgentSession,
  ByteStream,
  ExecOptions,
  ExecSession,
  LogLine,
  LogOptions,
  ServerSession,
} from "../../../src/model/session.ts";
import type { TaskStatus } from "../../../src/model/task.ts";
import type { Welcome } from "../../../src/session/frames.ts";
import { AgentEnd } from "../../../src/session/agent-end.ts";
import type { RemoteAgent } from "../../../src/session/remote-agent.ts";
import { Sessions } from "../../../src/session/sessions.ts";
import { aNode, anId } from "../../builders.ts";
import type { UpgradeOrder } from "../../../src/model/upgrade.ts";
import type { VolumeCalls } from "../../../src/model/volume.ts";
import { NO_VOLUMES } from "../../volumes.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";
import { MemoryLink } from "./memory-link.ts";

export const WELCOME: Welcome = {
  serverTime: 5000,
  serverId: "s1",
  subnet: "10.210.7.0/24",
  gossipKeys: ["a2V5"],
  peers: ["192.0.2.1:7946"],
  servers: ["192.0.2.1:6770"],
  renewAfterMs: 1000,
};

export function facts(hostname = "n1"): NodeFacts {
  const { address, platform, resources, runtime, orchdVersion } = aNode();
  return { hostname, address, platform, resources, runtime, orchdVersion };
}

/** What the server hears, in order. */
export class FakeServer implements ServerSession {
  readonly heard: string[] = [];
  readonly sessions = new Map<NodeId, AgentSession>();
  readonly statuses: TaskStatus[] = [];
  failure: Error | undefined;
  /** What each new session is handed. */
  set: AssignmentSet = { generation: 1, assignments: [] };

  async hello(session: AgentSession, { hostname }: NodeFacts): Promise<void> {
    this.heard.push(`hello ${hostname}`);
    if (this.failure !== undefined) throw this.failure;
    this.sessions.set(session.nodeId, session);
    session.assign(this.set);
  }

  async report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    for (const { taskId, state } of statuses) {
      this.heard.push(`${shortened(nodeId)} says ${shortened(taskId)} ${state}`);
    }
    this.statuses.push(...statuses);
  }

  happened(): boolean {
    return true;
  }

  leads(): boolean {
    return true;
  }

  goodbye(nodeId: NodeId): void {
    this.heard.push(`goodbye ${shortened(nodeId)}`);
    this.sessions.delete(nodeId);
  }
}

/** An agent whose answers are laid down beforehand. */
export class ScriptedAgent implements AgentSession {
  readonly nodeId = anId<"node">("n1");
  readonly sets: AssignmentSet[] = [];
  readonly changes: NetworkChange[] = [];
  readonly asked: unknown[] = [];
  logLines: (signal: AbortSignal) => AsyncIterable<LogLine> = () => linesOf([]);
  execSession: () => Promise<ExecSession> = () => Promise.reject(new Error("no exec laid down"));
  connection: () => Promise<ByteStream> = () => Promise.reject(new Error("none laid down"));
  /** What becomes of an archive that the server sends; answers how many entries it has. */
  load: (archive: AsyncIterable<Uint8Array>) => Promise<number> = async () => 0;

  readonly volumes: VolumeCalls = {
    ...NO_VOLUMES,
    write: async (_name, archive) => {
      const entries = await this.load(archive);
      return { sha256: "", entries, bytes: 0, changed: 0, skipped: 0 };
    },
  };

  async pruneImages(): Promise<never[]> {
    return [];
  }

  generation(): undefined {}

  async held(): Promise<never[]> {
    return [];
  }

  successors(): never[] {
    return [];
  }

  assign(set: AssignmentSet): void {
    this.sets.push(set);
  }

  network(source: NetworkSource): void {
    this.changes.push(source.since(this.changes.at(-1)?.generation));
  }

  logs(_taskId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    this.asked.push(options);
    return this.logLines(signal);
  }

  exec(_taskId: string, options: ExecOptions): Promise<ExecSession> {
    this.asked.push(options);
    return this.execSession();
  }

  async images() {
    return [{ id: "sha256:1", references: ["web:1"], sizeBytes: 1, createdAt: 0 }];
  }

  async fetchImages(references: readonly string[]): Promise<string[]> {
    return [...references];
  }

  async removeVolumes(names: readonly string[]): Promise<void> {
    this.asked.push(names);
  }

  async upgrade(order: UpgradeOrder): Promise<void> {
    this.asked.push(order);
  }

  async usage(taskIds: readonly TaskId[]) {
    const tasks = taskIds.map((taskId) => ({ taskId, cpuMs: 1.5, memoryBytes: 4096 }));
    return { at: 12.5, tasks, connections: { "8080/tcp": 3 } };
  }

  /** Contents that arrived, by their number. */
  readonly contents = new Map<number, Uint8Array | undefined>();

  async lackedContents(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    return refs.filter(({ number }) => !this.contents.has(number));
  }

  async takeContent({ number }: ContentRef, bytes: Uint8Array | undefined): Promise<void> {
    this.contents.set(number, bytes);
  }

  forward(_taskId: string, port: number): Promise<ByteStream> {
    this.asked.push(port);
    return this.connection();
  }

  close(): void {}
}

export async function* linesOf(texts: readonly string[]): AsyncGenerator<LogLine> {
  for (const text of texts) yield { at: 1, stream: "stdout", text };
}

/** A server's sessions in virtual time, and agents that come to it in memory. */
export class Rig {
  readonly clock = new VirtualClock(1_000_000);
  readonly random = seededRandom("session");
  readonly server = new FakeServer();
  readonly logged: string[] = [];
  readonly sessions: Sessions;
  /** What nodes hear from now on. */
  welcome = WELCOME;

  constructor() {
    this.sessions = new Sessions({
      clock: this.clock,
      log: this.log(),
      server: this.server,
      welcome: () => this.welcome,
    });
  }

  log(): Log {
    const line = (message: string) => void this.logged.push(message);
    return { info: line, warn: line, error: line };
  }

  /** An agent process connects once; `instance` tells its lives apart. */
  connect(options: { node?: string; instance?: string; agent?: AgentSession } = {}) {
    const { node = "n1", instance = "i1", agent = new ScriptedAgent() } = options;
    const [agentLink, serverLink] = MemoryLink.pair();
    const seen = { welcomes: [] as Welcome[], news: [] as Welcome[], ends: [] as string[] };
    this.sessions.accept(serverLink, anId(node));
    const end = new AgentEnd({
      link: agentLink,
      clock: this.clock,
      log: this.log(),
      agent,
      instance,
      facts: facts(node),
      onWelcome: (welcome) => seen.welcomes.push(welcome),
      onNews: (news) => seen.news.push(news),
      onHeartbeat: () => {},
      onEnd: (code, reason) => seen.ends.push(`${code} ${reason}`),
    });
    return { end, agentLink, serverLink, ...seen };
  }

  /** A scripted agent that has its session. */
  async joined(node = "n1") {
    const agent = new ScriptedAgent();
    const connected = this.connect({ node, agent });
    await settled();
    return { agent, remote: this.remote(node), ...connected };
  }

  remote(node = "n1"): RemoteAgent {
    const remote = this.sessions.session(anId(node));
    if (remote === undefined) throw new Error(`${node} has no session`);
    return remote;
  }

  async pass(ms: number): Promise<void> {
    await settled();
    const until = this.clock.now() + ms;
    while (await this.clock.step(until));
  }
}

export function shortened(id: string): string {
  return id.replace(/x+$/, "");
}
