import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { type ContainerSpec, PROCESS_IMAGE } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import { ProcessRuntime } from "../../src/runtime/process/process-runtime.ts";
import { aContainer, anAssignment } from "../../tests/builders.ts";
import type { Starts } from "./process.ts";

/*
 * Run by Bun, like orchd itself: `process-start.ts PAIRS` starts a program that says what time it
 * is, plainly and as a task's process, so often each, and prints the `Starts`.
 */
const PROGRAM = ["/bin/date", "+%s%N"];
const SUBNET = "10.213.14";
const pairs = Number(process.argv[2]);
const dir = mkdtempSync("/var/lib/orchd-bench-");
const runtime = await ProcessRuntime.open({
  nodeId: newId<"node">(systemRandom),
  runDir: join(dir, "run"),
  dataDir: join(dir, "data"),
  clock: systemClock,
  allowed: ["/bin", "/usr/bin"],
});
const network = { name: "orchdb0", subnet: `${SUBNET}.0/24`, gateway: `${SUBNET}.1` };
await runtime.ensureNetwork(network);
try {
  // What is started first reads programs from the disk.
  await startOnce("host");
  const starts: Starts = { plain: [], host: [], bridge: [], created: [] };
  for (let pair = 0; pair < pairs; pair++) {
    starts.plain.push(await startPlain());
    const { create, start } = await startOnce("host");
    starts.host.push(start);
    starts.created.push(create);
    starts.bridge.push((await startOnce("bridge")).start);
  }
  console.log(JSON.stringify(starts));
} finally {
  await runtime.removeNetwork(network.name);
  await runtime.close();
  rmSync(dir, { recursive: true });
}

/** Milliseconds from asking for it until the program itself looks at the clock. */
async function startPlain(): Promise<number> {
  const begin = nowMs();
  const child = Bun.spawn(PROGRAM, { stdio: ["ignore", "pipe", "inherit"] });
  return timeOf(await new Response(child.stdout).text()) - begin;
}

async function startOnce(
  networkMode: ContainerSpec["networkMode"],
): Promise<{ create: number; start: number }> {
  const taskId: TaskId = newId<"task">(systemRandom);
  const container = aContainer({
    image: PROCESS_IMAGE,
    runtime: "process",
    command: PROGRAM,
    networkMode,
  });
  const address = networkMode === "bridge" ? { address: `${SUBNET}.9` } : {};
  const before = nowMs();
  await runtime.create({ assignment: anAssignment("", { taskId, container }), ...address });
  const begin = nowMs();
  await runtime.start(taskId);
  let said = "";
  const { signal } = new AbortController();
  for await (const { text } of runtime.logs(taskId, { follow: true }, signal)) said = text;
  await runtime.remove(taskId);
  return { create: begin - before, start: timeOf(said) - begin };
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

function timeOf(nanoseconds: string): number {
  return Number(nanoseconds) / 1e6;
}
