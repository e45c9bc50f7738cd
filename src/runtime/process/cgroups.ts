import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { Limits } from "../../model/container.ts";
import { type NodeId, nodeIdSchema, type TaskId, taskIdSchema } from "../../model/ids.ts";
import type { NodeUsage } from "../../model/usage.ts";
import { PIDS_DEFAULT } from "../oci-limits.ts";

const ROOT = "/sys/fs/cgroup";
/** Begins the name of the cgroup of a node, below which each task has one. */
const PARENT = "orchd-process-";
/** Of cpu.cfs_period_us and cpu.max, in µs. */
const PERIOD_US = 100_000;
/** cpu.weight is 1 to 10000 where cpu.shares was 2 to 262144. */
const SHARES_MIN = 2;
const SHARES_MAX = 262_144;

type Controller = "memory" | "cpu" | "cpuset" | "pids";

/** What a limit becomes: a file of a cgroup, and what is written into it. */
interface Setting {
  controller: Controller;
  file: string;
  value: string;
}

/**
 * The cgroups of processes. With the old kind each controller has a hierarchy of its own, with the
 * new one there is one for all; a system may have neither, and then processes have none.
 */
export class Cgroups {
  readonly isUnified: boolean;
  readonly #root: string;
  readonly #parent: string;
  /** Hierarchies by what they are for; of the new kind all are one. */
  readonly #hierarchies: ReadonlyMap<string, string>;
  readonly #controllers: ReadonlySet<string>;

  constructor(nodeId: NodeId, root = ROOT) {
    this.#root = root;
    this.#parent = `${PARENT}${nodeId}`;
    const parent = this.#parent;
    this.isUnified = fs.existsSync(join(root, "cgroup.controllers"));
    this.#hierarchies = this.isUnified
      ? prepareUnified(root, parent)
      : findHierarchies(root, parent);
    this.#controllers = this.isUnified
      ? new Set(wordsOf(join(root, parent, "cgroup.subtree_control")))
      : new Set(this.#hierarchies.keys());
  }

  /** Where processes join a task's cgroups: files into which they write their ids. */
  joinFiles(taskId: TaskId): string[] {
    const files = this.#pathsOf(taskId).map((path) => join(path, "cgroup.procs"));
    return files.filter((file) => fs.existsSync(file));
  }

  /** By which all processes of a task are held still, and let go; undefined where nothing does. */
  freezerOf(taskId: TaskId): { file: string; hold: string; release: string } | undefined {
    if (this.isUnified) {
      const file = join(this.#root, this.#parent, taskId, "cgroup.freeze");
      return fs.existsSync(file) ? { file, hold: "1", release: "0" } : undefined;
    }
    const freezer = this.#hierarchies.get("freezer");
    if (freezer === undefined) return undefined;
    const file = join(freezer, this.#parent, taskId, "freezer.state");
    return { file, hold: "FROZEN", release: "THAWED" };
  }

  /**
   * Makes a task's cgroups with its limits.
   * @throws OrchdError `invalid` for a limit that this machine can't hold
   */
  make(taskId: TaskId, limits: Limits): void {
    const settings = settingsOf(limits, this.isUnified);
    for (const { controller, file } of settings) this.#require(controller, file);
    if (this.#controllers.has("pids")) settings.push(pidsOf(limits));
    else if (limits.pids !== undefined) this.#require("pids", "pids.max");
    const cpuset = this.isUnified ? undefined : this.#hierarchies.get("cpuset");
    const hasSet = settings.some(({ controller }) => controller === "cpuset");
    // To join one takes the kernel milliseconds: a set that nobody asked for is not made.
    const idle = hasSet || cpuset === undefined ? undefined : join(cpuset, this.#parent, taskId);
    for (const path of this.#pathsOf(taskId)) {
      if (path !== idle) fs.mkdirSync(path, { recursive: true });
    }
    if (cpuset !== undefined && hasSet) inheritSets(cpuset, this.#parent, taskId);
    for (const setting of settings) this.#write(taskId, setting);
  }

  /**
   * Changes the limits of a task that runs; its set of processors stays as it is.
   * @throws OrchdError `invalid` for a limit that this machine can't hold, `runtime`
   */
  limit(taskId: TaskId, limits: Limits): void {
    const wanted = settingsOf({ ...limits, cpuSet: "" }, this.isUnified);
    for (const { controller, file } of wanted) this.#require(controller, file);
    const free = unlimited(this.isUnified);
    for (const setting of [...free, ...wanted, pidsOf(limits)]) {
      if (this.#controllers.has(setting.controller)) this.#write(taskId, setting);
    }
  }

  /** Ids of all processes that a task has. */
  processes(taskId: TaskId): number[] {
    const [path] = this.#pathsOf(taskId);
    if (path === undefined) return [];
    return linesOf(join(path, "cgroup.procs")).map(Number);
  }

  /** Ends all processes of a task that are there now. */
  kill(taskId: TaskId): void {
    const file = this.killFileOf(taskId);
    if (file !== undefined) return tryWrite(file, "1");
    // Held still while they are ended: who forks for ever can't outrun it.
    this.setFrozen(taskId, true);
    for (const pid of this.processes(taskId)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    this.setFrozen(taskId, false);
  }

  /** Answers whether there is something that can. */
  setFrozen(taskId: TaskId, frozen: boolean): boolean {
    const freezer = this.freezerOf(taskId);
    if (freezer === undefined) return false;
    tryWrite(freezer.file, frozen ? freezer.hold : freezer.release);
    return true;
  }

  /** Whether the kernel has killed one of its processes for its memory limit. */
  wasOutOfMemory(taskId: TaskId): boolean {
    const memory = this.#hierarchies.get("memory");
    if (memory === undefined) return false;
    const file = this.isUnified ? "memory.events" : "memory.oom_control";
    const text = readText(join(memory, this.#parent, taskId, file));
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  }

  /** What its processes use; undefined where no cgroup counts that. */
  usage(taskId: TaskId): NodeUsage["tasks"][number] | undefined {
    if (this.isUnified) {
      const path = join(this.#root, this.#parent, taskId);
      const cpu = /^usage_usec (\d+)$/m.exec(readText(join(path, "cpu.stat")))?.[1];
      if (cpu === undefined) return undefined;
      const memory = Number(readText(join(path, "memory.current")) || 0);
      return { taskId, cpuMs: Number(cpu) / 1e3, memoryBytes: memory };
    }
    const read = (controller: string, file: string) => {
      const hierarchy = this.#hierarchies.get(controller);
      return hierarchy === undefined ? "" : readText(join(hierarchy, this.#parent, taskId, file));
    };
    const cpu = read("cpuacct", "cpuacct.usage");
    if (cpu === "") return undefined;
    const memory = Number(read("memory", "memory.usage_in_bytes") || 0);
    return { taskId, cpuMs: Number(cpu) / 1e6, memoryBytes: memory };
  }

  /** Answers whether nothing of them is left: one that still has a process stays. */
  remove(taskId: TaskId): boolean {
    return this.#pathsOf(taskId)
      .map((path) => {
        try {
          fs.rmdirSync(path);
        } catch {
          // It is gone, or a process that was killed is not quite.
        }
        return !fs.existsSync(path);
      })
      .every(Boolean);
  }

  /** By which all processes of a task are ended at once; undefined with the old kind. */
  killFileOf(taskId: TaskId): string | undefined {
    if (!this.isUnified) return undefined;
    const file = join(this.#root, this.#parent, taskId, "cgroup.kill");
    return fs.existsSync(file) ? file : undefined;
  }

  /** Removes the node's own, where no task has one any more. */
  close(): void {
    for (const path of this.#distinct()) {
      try {
        fs.rmdirSync(join(path, this.#parent));
      } catch {
        // Tasks go on in it, or it is gone.
      }
    }
  }

  /** Tasks that have one. */
  all(): TaskId[] {
    const [hierarchy] = this.#distinct();
    const parent = hierarchy === undefined ? undefined : join(hierarchy, this.#parent);
    if (parent === undefined || !fs.existsSync(parent)) return [];
    const entries = fs.readdirSync(parent, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    return names.flatMap((name) => taskIdSchema.safeParse(name).data ?? []);
  }

  #distinct(): string[] {
    return [...new Set(this.#hierarchies.values())];
  }

  #pathsOf(taskId: TaskId): string[] {
    return this.#distinct().map((path) => join(path, this.#parent, taskId));
  }

  #write(taskId: TaskId, { controller, file, value }: Setting): void {
    const path = join(this.#hierarchies.get(controller) ?? "", this.#parent, taskId, file);
    // Swap is counted only where the kernel was told to.
    if (/memsw|swap/.test(file) && !fs.existsSync(path)) return;
    try {
      fs.writeFileSync(path, value);
    } catch (cause) {
      const message = `the kernel does not take ${value} for ${file}, which the task's limits ask`;
      throw new OrchdError("runtime", message, { cause });
    }
  }

  #require(controller: Controller, file: string): void {
    if (this.#controllers.has(controller)) return;
    const hint =
      controller === "memory"
        ? "; on a Raspberry Pi put cgroup_enable=memory cgroup_memory=1 into the line of " +
          "/boot/firmware/cmdline.txt"
        : "";
    throw new OrchdError(
      "invalid",
      `the node's kernel gives processes no cgroup of ${controller}, so there can be no limit ` +
        `by ${file}${hint}`,
    );
  }
}

/** Nodes that have cgroups of processes on this machine, whoever has left them. */
export function nodesWithCgroups(root = ROOT): NodeId[] {
  const entries = fs.existsSync(root) ? fs.readdirSync(root, { withFileTypes: true }) : [];
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(root, name));
  const names = [root, ...below].flatMap((path) => fs.readdirSync(path));
  const ids = names
    .filter((name) => name.startsWith(PARENT))
    .map((name) => name.slice(PARENT.length));
  return [...new Set(ids)].flatMap((id) => nodeIdSchema.safeParse(id).data ?? []);
}

/** What limits are to the kernel, in the order in which it takes them. */
export function settingsOf(limits: Limits, isUnified: boolean): Setting[] {
  const { cpuMillis, memoryBytes, memorySwapBytes, cpuShares, cpuSet } = limits;
  const settings: Setting[] = [];
  const add = (controller: Controller, file: string, value: string | number) =>
    settings.push({ controller, file, value: String(value) });
  if (memoryBytes !== undefined && memoryBytes > 0) {
    add("memory", isUnified ? "memory.max" : "memory.limit_in_bytes", memoryBytes);
    const swap = swapOf(memoryBytes, memorySwapBytes);
    if (isUnified) add("memory", "memory.swap.max", swap === -1 ? "max" : swap - memoryBytes);
    else add("memory", "memory.memsw.limit_in_bytes", swap);
  }
  if (cpuMillis !== undefined) {
    const quota = Math.max(1000, (cpuMillis * PERIOD_US) / 1000);
    if (isUnified) add("cpu", "cpu.max", `${quota} ${PERIOD_US}`);
    else add("cpu", "cpu.cfs_quota_us", quota);
  }
  if (cpuShares !== undefined && cpuShares > 0) {
    if (isUnified) add("cpu", "cpu.weight", weightOf(cpuShares));
    else add("cpu", "cpu.shares", cpuShares);
  }
  if (cpuSet !== undefined && cpuSet !== "") add("cpuset", "cpuset.cpus", cpuSet);
  return settings;
}

function pidsOf({ pids = PIDS_DEFAULT }: Limits): Setting {
  return { controller: "pids", file: "pids.max", value: pids < 0 ? "max" : `${pids}` };
}

/** What takes away each limit that can be changed, in the order in which the kernel lets it. */
function unlimited(isUnified: boolean): Setting[] {
  if (isUnified) {
    return [
      { controller: "memory", file: "memory.max", value: "max" },
      { controller: "memory", file: "memory.swap.max", value: "max" },
      { controller: "cpu", file: "cpu.max", value: `max ${PERIOD_US}` },
      { controller: "cpu", file: "cpu.weight", value: "100" },
    ];
  }
  return [
    { controller: "memory", file: "memory.memsw.limit_in_bytes", value: "-1" },
    { controller: "memory", file: "memory.limit_in_bytes", value: "-1" },
    { controller: "cpu", file: "cpu.cfs_quota_us", value: "-1" },
    { controller: "cpu", file: "cpu.shares", value: "1024" },
  ];
}

/** Memory and swap together; as much swap as memory where nothing is said, as with containers. */
function swapOf(memoryBytes: number, memorySwapBytes: number | undefined): number {
  if (memorySwapBytes === undefined || memorySwapBytes === 0) return memoryBytes * 2;
  return memorySwapBytes === -1 ? -1 : Math.max(memorySwapBytes, memoryBytes);
}

/** As runc does: 2 to 262144 becomes 1 to 10000. */
function weightOf(shares: number): number {
  const given = Math.min(Math.max(shares, SHARES_MIN), SHARES_MAX);
  return 1 + Math.floor(((given - SHARES_MIN) * 9999) / (SHARES_MAX - SHARES_MIN));
}

/** Gives the tasks' parent every controller that can be had; those that can't are told later. */
function prepareUnified(root: string, name: string): ReadonlyMap<string, string> {
  const parent = join(root, name);
  try {
    fs.mkdirSync(parent, { recursive: true });
  } catch {
    // Nobody may make any here: processes go without.
    return new Map();
  }
  for (const controller of ["memory", "cpu", "cpuset", "pids"]) {
    for (const path of [root, parent]) {
      tryWrite(join(path, "cgroup.subtree_control"), `+${controller}`);
    }
  }
  return new Map(["memory", "cpu", "cpuset", "pids", "core"].map((name) => [name, root]));
}

/** Hierarchies of the old kind in which cgroups can be made. */
function findHierarchies(root: string, parent: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of ["memory", "cpu", "cpuacct", "cpuset", "pids", "freezer"]) {
    const path = join(root, name);
    if (!fs.existsSync(join(path, "cgroup.procs"))) continue;
    try {
      fs.mkdirSync(join(path, parent), { recursive: true });
      found.set(name, fs.realpathSync(path));
    } catch {
      // It is there to be looked at only: processes go without it.
    }
  }
  return found;
}

/** A set of the old kind begins empty, and takes no process before it has something. */
function inheritSets(hierarchy: string, parent: string, taskId: TaskId): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    let above = hierarchy;
    for (const path of [join(hierarchy, parent), join(hierarchy, parent, taskId)]) {
      const has = readText(join(path, file)).trim();
      if (has === "") tryWrite(join(path, file), readText(join(above, file)).trim());
      above = path;
    }
  }
}

function linesOf(path: string): string[] {
  return readText(path).split("\n").filter(Boolean);
}

function wordsOf(path: string): string[] {
  return readText(path).split(/\s+/).filter(Boolean);
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    // The cgroup is gone, or the kernel does not count that.
    return "";
  }
}

function tryWrite(path: string, value: string): void {
  try {
    fs.writeFileSync(path, value);
  } catch {
    // The cgroup is gone, or the kernel has no such controller: whoever needs it finds out.
  }
}
