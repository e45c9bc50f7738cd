import * as fs from "node:fs";
import { dirname, join, normalize } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";
import type { KeptPlan } from "./process-files.ts";
import type { PlannedMount } from "./start-script.ts";

const SHM_BYTES = 65_536_000;
/** Where secrets are: a directory of memory, in which places for them can be made. */
const SECRETS = "/run/secrets";
const SECRETS_OPTIONS = ["mode=755", "size=1m", "nosuid", "nodev", "noexec"];

export interface MountPlan {
  mounts: PlannedMount[];
  /** Where a path of the process is on the machine. */
  onMachine: (path: string) => string;
}

/**
 * What a process has mounted, in order. It sees the machine's own files; only where something is
 * put in their place, and in /tmp and /var/tmp, which are its own, it sees others.
 * @throws OrchdError `runtime` for a place that is not there, and can't be made
 */
export function mountPlanOf(plan: KeptPlan, directory: string, etc: Iterable<string>): MountPlan {
  const own = new Map([
    ["/tmp", join(directory, "tmp")],
    ["/var/tmp", join(directory, "var-tmp")],
  ]);
  const mounts: PlannedMount[] = [];
  const asked = plan.mounts.toSorted((a, b) => a.destination.length - b.destination.length);
  const targets = new Set(asked.map(({ destination }) => destination));
  const shm = shmOf(plan.container);
  if (shm !== undefined && !targets.has(shm.target)) mounts.push(shm);
  for (const name of etc) {
    const target = `/etc/${name}`;
    if (targets.has(target)) continue;
    requirePlace(target);
    mounts.push({ source: join(directory, "etc", name), target, type: "bind", options: ["ro"] });
  }
  if (asked.some(({ destination }) => isWithin(destination, SECRETS) && destination !== SECRETS)) {
    fs.mkdirSync(SECRETS, { recursive: true, mode: 0o755 });
    mounts.push({ source: "tmpfs", target: SECRETS, type: "tmpfs", options: SECRETS_OPTIONS });
  }
  for (const { source, destination, type, options } of asked) {
    const isFile = type === "bind" && !sourceStat(source).isDirectory();
    const make = isFile ? ("file" as const) : ("directory" as const);
    const hidden = [...own].find(([path]) => isWithin(destination, path));
    const kept = options.filter((word) => type !== "bind" || word === "ro");
    if (hidden !== undefined) {
      const target = join(hidden[1], destination.slice(hidden[0].length));
      mounts.push({ source, target, type, options: kept, make });
    } else if (isWithin(destination, SECRETS) || targets.has(dirname(destination))) {
      mounts.push({ source, target: destination, type, options: kept, make });
    } else {
      requirePlace(destination);
      mounts.push({ source, target: destination, type, options: kept });
    }
  }
  // Last, and the one that hides the task's own directory behind all others.
  const hides = ([target]: [string, string]) => Number(isWithin(directory, target));
  for (const [target, source] of [...own].toSorted((a, b) => hides(a) - hides(b))) {
    if (!fs.existsSync(target) || targets.has(target)) continue;
    mounts.push({ source, target, type: "bind", options: [] });
  }
  const shown = [...own, ...asked.map(({ destination, source }) => [destination, source] as const)];
  return { mounts, onMachine: (path) => onMachine(path, shown) };
}

/** Mount points of the machine that a process with a read-only root may not write to. */
export function readOnlyPoints(spec: ContainerSpec, mounts: readonly PlannedMount[]): string[] {
  if (!spec.readOnly) return [];
  const lines = fs.readFileSync("/proc/self/mounts", "utf8").split("\n").filter(Boolean);
  const points = lines.map((line) => unescape(line.split(" ")[1] ?? "/"));
  const kernels = ["/proc", "/sys", "/dev"];
  const hidden = [...kernels, ...mounts.map(({ target }) => target)];
  return [...new Set(points)].filter((point) => !hidden.some((path) => isWithin(point, path)));
}

function shmOf({ ipcMode, shmSizeBytes }: ContainerSpec): PlannedMount | undefined {
  if (ipcMode === "host" || !fs.existsSync("/dev/shm")) return undefined;
  const size = `size=${shmSizeBytes ?? SHM_BYTES}`;
  const options = ["mode=1777", "nosuid", "nodev", "noexec", size];
  return { source: "shm", target: "/dev/shm", type: "tmpfs", options };
}

/** By the mount that lies deepest above it. */
function onMachine(path: string, shown: readonly (readonly [string, string])[]): string {
  const plain = normalize(path);
  const over = shown
    .filter(([target]) => isWithin(plain, target))
    .toSorted(([a], [b]) => b.length - a.length)[0];
  return over === undefined ? plain : join(over[1], plain.slice(over[0].length));
}

function requirePlace(target: string): void {
  if (fs.existsSync(target)) return;
  throw new OrchdError(
    "runtime",
    `${target}, where something is to be mounted, does not exist on the node; a process sees the ` +
      "node's own files: make it there, or mount below /tmp, which is the process's own",
  );
}

function sourceStat(source: string): fs.Stats {
  const found = fs.statSync(source, { throwIfNoEntry: false });
  if (found !== undefined) return found;
  throw new OrchdError("runtime", `the mounted path ${source} does not exist on the node`);
}

/** Blanks and the like are octal there, proc(5). */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  );
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
