import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import type { FleetHost } from "../lab/fleet.ts";
import { LAB_RUNTIMES, type LabRuntime } from "../lab/lab-containers.ts";
import { median, one, round, type Figure } from "./figure.ts";
import { memoryMib, residentDuring } from "./process-cost.ts";
import { withSettledAgent } from "./settled-agent.ts";

const TASKS = 20;
const ABOVE_MB = 15;
const MB_PER_MIB = 1024 ** 2 / 1e6;
/** One for all containers, and one for each of them. */
const SERVICES = new Set(["podman", "containerd"]);
const MONITORS = new Set(["conmon", "containerd-shim-runc-v2"]);

interface Cost {
  runtime: LabRuntime;
  /** What the agent had resident, in MiB, look by look. */
  resident: number[];
  /** MiB of each process of the runtime, of which its neighbours' shared pages are a share. */
  services: number[];
  monitors: number[];
}

/** What an agent costs with each runtime, and the runtime itself: processes and memory. */
export async function benchRuntimes(windowMs: number): Promise<Figure[]> {
  const costs: Cost[] = [];
  for (const runtime of LAB_RUNTIMES) costs.push(await costOf(runtime, windowMs));
  const during = `${windowMs / 1000} s idle, ${TASKS} tasks`;
  const [podman, containerd] = costs.map(({ resident }) => median(resident));
  const above = (containerd ?? Number.NaN) - (podman ?? Number.NaN);
  const what = `agent resident memory, containerd above Podman, ${during}`;
  return [
    {
      ...one(what, above * MB_PER_MIB, "MB", ABOVE_MB),
      reference: `Podman ${round(podman ?? 0)} MiB, containerd ${round(containerd ?? 0)} MiB`,
    },
    ...costs.flatMap(figuresOf),
  ];
}

function figuresOf({ runtime, services, monitors }: Cost): Figure[] {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  return [
    one(`${runtime}: its processes for each of ${TASKS} containers`, monitors.length / TASKS, ""),
    one(`${runtime}: their proportional memory, each`, sum(monitors) / monitors.length, "MiB"),
    {
      ...one(`${runtime}: proportional memory of its service`, sum(services), "MiB"),
      reference: `${services.length} process${services.length === 1 ? "" : "es"}`,
    },
  ];
}

async function costOf(runtime: LabRuntime, windowMs: number): Promise<Cost> {
  const measure = async (agent: FleetHost) => {
    const resident = await residentDuring(agent.serverPid, windowMs);
    const memory = (names: ReadonlySet<string>) => processesOn(agent, names).map(proportionalMib);
    return { runtime, resident, services: memory(SERVICES), monitors: memory(MONITORS) };
  };
  return withSettledAgent(TASKS, measure, runtime);
}

function proportionalMib(pid: number): number {
  return memoryMib(pid, "Pss");
}

/** Processes of these programs on the host itself, and not in one of its containers. */
function processesOn({ lab }: FleetHost, names: ReadonlySet<string>): number[] {
  const namespaceOf = (pid: number) => readlinkSync(`/proc/${pid}/ns/pid`);
  const own = namespaceOf(lab.pid);
  const all = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return all.map(Number).filter((pid) => {
    try {
      const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return names.has(basename(program)) && namespaceOf(pid) === own;
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}
