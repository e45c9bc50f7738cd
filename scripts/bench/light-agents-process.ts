import { untilStopped } from "../../src/agent/until-stopped.ts";
import { joinCluster } from "../../src/agent/join.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { OrchdError } from "../../src/lib/errors.ts";
import { silentLog } from "../../src/lib/log.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { AssignmentSet } from "../../src/model/assignment.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import type { NodeFacts } from "../../src/model/node.ts";
import { SERVER_NAME } from "../../src/model/server-address.ts";
import type { AgentSession } from "../../src/model/session.ts";
import { isTerminal, type TaskStatus } from "../../src/model/task.ts";
import { parseToken } from "../../src/model/token-text.ts";
import { newKey } from "../../src/pki/keys.ts";
import { ServerConnection } from "../../src/session/server-connection.ts";
import { NO_VOLUMES } from "../../tests/volumes.ts";
import { eachOf } from "./work.ts";

/*
 * Thousands of agents in one process that do nothing but what the server sees of an agent: each
 * joins, has its session over TLS, and says of each task that it is told of that it runs. Run by
 * Bun, like orchd itself: light-agents-process.ts TOKEN SERVER FIRST COUNT. Prints
 * `connected NUMBER` at each change, and every second `running NUMBER`: tasks of which the server
 * has acknowledged that they run.
 */
const [tokenText = "", server = "", ...numbersGiven] = process.argv.slice(2);
const [first = 0, count = 0] = numbersGiven.map(Number);
const JOINS_AT_ONCE = 8;
const TELL_MS = 1000;
const TRIES_MAX = 10;

const token = parseToken(tokenText);
if (!token.ok) throw new Error(token.problem);
let running = 0;
let connected = 0;

/** What an agent knows of its tasks: which the server was told of. */
class LightAgent implements AgentSession {
  readonly nodeId: NodeId;
  readonly #server: ServerConnection;
  readonly #told = new Map<TaskId, TaskStatus["state"]>();

  constructor(nodeId: NodeId, connection: ServerConnection) {
    this.nodeId = nodeId;
    this.#server = connection;
  }

  readonly volumes = NO_VOLUMES;

  async pruneImages(): Promise<never[]> {
    return [];
  }

  generation(): undefined {}

  async held(): Promise<never[]> {
    return [];
  }

  successors() {
    return [];
  }

  network(): void {}

  assign({ assignments }: AssignmentSet): void {
    const statuses: TaskStatus[] = [];
    const now = Date.now();
    for (const { taskId, desired, state } of assignments) {
      const reached = desired === "running" ? "running" : desired;
      if (this.#told.get(taskId) === reached || isTerminal(state)) continue;
      this.#told.set(taskId, reached);
      statuses.push({
        taskId,
        state: reached,
        health: "none",
        message: "",
        since: now,
        startedAt: now,
      });
    }
    if (statuses.length > 0) void this.#report(statuses);
  }

  async #report(statuses: TaskStatus[]): Promise<void> {
    try {
      await this.#server.report(this.nodeId, statuses);
      running += statuses.filter(({ state }) => state === "running").length;
    } catch {
      // The session broke: the next one begins with a set, and all that is new in it is told.
      for (const { taskId } of statuses) this.#told.delete(taskId);
    }
  }

  logs = nothing;
  exec = nothing;
  images = nothing;
  fetchImages = nothing;
  removeVolumes = nothing;
  forward = nothing;
  usage = nothing;
  upgrade = nothing;
  lackedContents = nothing;
  takeContent = nothing;
  close = () => {};
}

await eachOf(
  Array.from({ length: count }, (_, i) => first + i),
  JOINS_AT_ONCE,
  startAgent,
);
const telling = setInterval(() => console.log(`running ${running}`), TELL_MS);
await untilStopped();
clearInterval(telling);
process.exit(0);

async function startAgent(number: number): Promise<void> {
  if (!token.ok) return;
  const facts: NodeFacts = {
    hostname: `n${number}`,
    address: "127.0.0.1",
    platform: { os: "linux", arch: "amd64" },
    resources: { cpuMillis: 64_000, memoryBytes: 2 ** 38 },
    runtime: { name: "fake", version: "1" },
    orchdVersion: "0.0.0",
  };
  const key = await newKey();
  const name = facts.hostname;
  const options = { servers: [server], token: token.value, key, facts, labels: {}, name };
  const identity = await persistently(() => joinCluster(options));
  const connection = new ServerConnection({
    clock: systemClock,
    log: silentLog,
    random: systemRandom,
    servers: [server],
    tls: () => {
      const { caCertificate: ca, certificate: cert } = identity;
      return { ca, cert, key, serverName: SERVER_NAME };
    },
    renew: async () => {},
    onWelcome: () => {},
  });
  await connection.hello(new LightAgent(identity.nodeId, connection), facts);
  connected += 1;
  console.log(`connected ${connected}`);
}

/** On a busy machine a server takes its time, and lets go who waits too long. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      // The last word is told, and ends the run.
      if (tries === TRIES_MAX) throw error;
    }
  }
}

function nothing(): never {
  throw new OrchdError("notFound", "this agent does nothing but run tasks");
}
