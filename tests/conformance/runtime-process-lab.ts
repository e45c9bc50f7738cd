import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { systemClock } from "../../src/lib/clock.ts";
import { newId } from "../../src/lib/ids.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import { ProcessRuntime } from "../../src/runtime/process/process-runtime.ts";
import type { RuntimeLab } from "./runtime.ts";
import { skipSuite } from "./skip-suite.ts";

/** Whether suites of processes can run here; where not it says why. */
export function hasProcesses(suite: string): boolean {
  const reason = whyNot();
  if (reason === undefined) return true;
  return skipSuite(suite, reason);
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  for (const name of ["unshare", "setpriv", "prlimit", "nsenter"]) {
    if (Bun.which(name) === null) return `${name} is not installed (apt install util-linux)`;
  }
  return Bun.which("ip") === null ? "ip is not installed (apt install iproute2)" : undefined;
}

export interface ProcessLab extends RuntimeLab {
  runtime: ProcessRuntime;
  nodeId: NodeId;
  dir: string;
  workingDir: string;
  place: string;
  options(): Parameters<typeof ProcessRuntime.open>[0];
  /** The ids of a task's monitor and program. */
  idsOf(taskId: TaskId): { monitor: number; program: number };
}

/** What a case wants that no process has; see `CANNOT`. */
function nobody(): Promise<never> {
  return Promise.reject(new Error("a process has no service, and no name"));
}

const keptSchema = z.object({
  monitor: z.object({ pid: z.number() }),
  program: z.object({ pid: z.number() }),
});

export async function makeProcessLab(bridge: string, subnet: string): Promise<ProcessLab> {
  const dir = await mkdtemp("/var/lib/orchd-conformance-");
  const workingDir = join(dir, "here");
  await chmod(dir, 0o755);
  await mkdir(workingDir);
  const nodeId = newId<"node">(systemRandom);
  const options = () => ({
    nodeId,
    runDir: join(dir, "run"),
    dataDir: join(dir, "data"),
    clock: systemClock,
    allowed: ["/usr/bin", "/bin"],
  });
  const runtime = await ProcessRuntime.open(options());
  const opened = [runtime];
  const pathOf = (taskId: TaskId) => join(dir, "data", "process", "tasks", taskId);
  const idsOf = (taskId: TaskId) => {
    const text = readFileSync(join(pathOf(taskId), "process.json"), "utf8");
    const kept = keptSchema.parse(JSON.parse(text));
    return { monitor: kept.monitor.pid, program: kept.program.pid };
  };
  return {
    runtime,
    nodeId,
    dir,
    options,
    idsOf,
    workingDir,
    place: "/tmp",
    image: "process",
    archive: () => new Blob([]).stream(),
    network: { name: bridge, subnet: `${subnet}.0/24`, gateway: `${subnet}.1` },
    reopen: async () => {
      const again = await ProcessRuntime.open(options());
      opened.push(again);
      return again;
    },
    crash: (taskId) => Promise.resolve(void process.kill(idsOf(taskId).program, "SIGKILL")),
    removeBehindBack: async (taskId) => {
      if (existsSync(join(pathOf(taskId), "process.json"))) {
        const { monitor, program } = idsOf(taskId);
        for (const pid of [monitor, program]) process.kill(pid, "SIGKILL");
      }
      await rm(pathOf(taskId), { recursive: true });
    },
    interrupt: () => Promise.resolve(),
    wired: nobody,
    stranger: nobody,
    remains: nobody,
    close: async () => {
      for (const { taskId } of await runtime.list()) await runtime.remove(taskId);
      await runtime.removeNetwork(bridge);
      for (const one of opened) await one.close();
      if (existsSync(dir)) await rm(dir, { recursive: true });
    },
  };
}
