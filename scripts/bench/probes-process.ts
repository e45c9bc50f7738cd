import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Agent } from "../../src/agent/agent.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { TaskStatus } from "../../src/model/task.ts";
import { FakeRuntime } from "../../src/runtime/fake/fake-runtime.ts";
import { openAgentState } from "../../src/store/agent-state/agent-state.ts";
import { aContainer, anAssignment, aNode, anId, aProbe } from "../../tests/builders.ts";

/*
 * An agent as it is, but for its containers, which are in its memory: TASKS of them, each with an
 * HTTP probe of 127.0.0.1:PORT, or without any where PORT is 0. Run by Bun:
 * probes-process.ts DIRECTORY TASKS PORT INTERVAL-MS. Prints `ready NUMBER` at each change.
 */
const [directory = "", ...numbersGiven] = process.argv.slice(2);
const [tasks = 0, port = 0, intervalMs = 10_000] = numbersGiven.map(Number);

const clock = systemClock;
/** Its containers have no network of their own: what they are asked goes to real sockets. */
const runtime = new FakeRuntime({ clock, random: systemRandom });
Object.defineProperty(runtime, "answer", { value: undefined });

const ready = new Set<TaskId>();
function hear(statuses: readonly TaskStatus[]): void {
  for (const { taskId, state, health } of statuses) {
    if (state === "running" && (health === "healthy" || health === "none")) ready.add(taskId);
  }
  console.log(`ready ${ready.size}`);
}

function assignmentOf(number: number): Assignment {
  const check = { type: "http", scheme: "http", port, path: `/${number}`, headers: {} } as const;
  const probes = port === 0 ? {} : { probes: { ready: aProbe({ check, intervalMs }) } };
  const container = aContainer({ networkMode: "host", ...probes });
  return anAssignment(`t${number}`, { slot: String(number), container });
}

mkdirSync(directory, { recursive: true, mode: 0o700 });
const { hostname, address, platform, resources, orchdVersion } = aNode();
const agent = new Agent({
  nodeId: anId("n1"),
  clock,
  random: systemRandom,
  log: silentLog,
  runtime,
  state: openAgentState(join(directory, "agent.db")),
  server: {
    hello: async () => {},
    leads: () => true,
    report: async (_, statuses) => hear(statuses),
    happened: () => true,
    goodbye: () => {},
  },
  facts: { hostname, address, platform, resources, orchdVersion, runtime: await runtime.info() },
  network: undefined,
});
await agent.start();
const assignments = Array.from({ length: tasks }, (_, number) => assignmentOf(number));
agent.assign({ generation: 1, assignments });
// Where nothing is asked nothing else would keep it.
setInterval(() => {}, intervalMs);
