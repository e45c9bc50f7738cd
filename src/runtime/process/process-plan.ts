import * as fs from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import type { TaskId } from "../../model/ids.ts";
import type { Account } from "../containerd/accounts.ts";
import { readBoundingSet } from "../containerd/capabilities.ts";
import type { ProcessLimits } from "../podman/process-limits.ts";
import { signalNumberOf } from "../podman/signals.ts";
import type { KeptPlan } from "./process-files.ts";
import { type MountPlan, mountPlanOf, readOnlyPoints } from "./process-mounts.ts";
import { processAccount, rightsOf } from "./process-rights.ts";
import { findProgram } from "./program.ts";
import { carried, lastWords, limitWords, waitText } from "./start-script.ts";
import type { LastStart, StartPlan } from "./start-script.ts";
import type { Tools } from "./tools.ts";

const PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM = 15;

/** What this machine and its node's settings say. */
export interface Rules {
  /** Directories whose programs may be run. */
  allowed: readonly string[];
  limits: ProcessLimits;
  tools: Tools;
}

/** A whole start, from which nothing is missing but the cgroups. */
export interface WholeStart {
  plan: Omit<StartPlan, "joinFiles">;
  /** What the chain has in its environment. */
  carried: Record<string, string>;
}

/**
 * How a task's process is started on this machine, as it is now.
 * @param network where the network is that it shares
 * @throws OrchdError for what is not there or not allowed
 */
export function wholeStartOf(
  taskId: TaskId,
  kept: KeptPlan,
  directory: string,
  rules: Rules & { network?: string },
): WholeStart {
  const spec = kept.container;
  const account = accountFor(kept);
  const etc = etcNames(directory);
  const mountPlan = mountPlanOf(kept, directory, etc);
  const last = lastStartOf(taskId, kept, { account, mountPlan });
  const [word] = last.words;
  const path = last.environment["PATH"] ?? "";
  const { workingDir } = last;
  const { onMachine } = mountPlan;
  const program = findProgram(word ?? "", { path, workingDir, onMachine, allowed: rules.allowed });
  const { network, tools, limits } = rules;
  const rights = rightsOf(spec, account, { available: readBoundingSet(), limits });
  const words = [...limitWords(tools, rights), program.path, ...last.words.slice(1)];
  return {
    carried: carried(last.environment),
    plan: {
      directory,
      namespaces: namespacesOf(kept),
      ...(network === undefined ? {} : { network }),
      mounts: mountPlan.mounts,
      readOnly: readOnlyPoints(spec, mountPlan.mounts),
      sealed: account.uid === 0 ? ["/proc/sys", "/sys"] : [],
      writes: writesOf(taskId, kept),
      real: program.real,
      privileges: rights.privileges,
      last: lastWords(tools, { ...last, words }, waitText(program)),
    },
  };
}

/** As whom, where and with which variables a task's process runs. */
export function lastStartOf(
  taskId: TaskId,
  { container }: KeptPlan,
  { account, mountPlan }: { account: Account; mountPlan: MountPlan },
): LastStart {
  const { entrypoint = [], command = [], environment, workingDir = "/" } = container;
  const words = [...entrypoint, ...command];
  if (words.length === 0) {
    throw new OrchdError("invalid", "a process needs a command, which has no image to say it");
  }
  if (!fs.statSync(mountPlan.onMachine(workingDir), { throwIfNoEntry: false })?.isDirectory()) {
    const message = `the working directory ${workingDir} does not exist on the node`;
    throw new OrchdError("runtime", message);
  }
  const own = { PATH: PATH_DEFAULT, HOME: account.home, HOSTNAME: nameOf(taskId, container) };
  return { environment: { ...own, ...environment }, workingDir, words };
}

/** Who the process is, with the groups of the devices that it is given. */
export function accountFor({ container }: KeptPlan, user = container.user): Account {
  const account = processAccount(user, container.groupAdd);
  if (account.uid === 0) return account;
  const groups = container.devices.flatMap(({ source }) => groupOf(source));
  const additionalGids = [...new Set([...account.additionalGids, ...groups])];
  return { ...account, additionalGids };
}

/** @throws OrchdError `invalid` for no signal */
export function stopSignalOf({ container }: KeptPlan): number {
  const text = container.stopSignal;
  const number = text === undefined ? SIGTERM : signalNumberOf(text);
  if (number !== undefined) return number;
  throw new OrchdError("invalid", `there is no signal "${text}"`);
}

/** Devices are where the node has them: one can't be somewhere else. */
export function requireDevices({ container }: KeptPlan): void {
  for (const { source, target } of container.devices) {
    if (!fs.existsSync(source)) {
      throw new OrchdError("runtime", `the device ${source} does not exist on the node`);
    }
    if (fs.existsSync(target) && fs.realpathSync(target) === fs.realpathSync(source)) continue;
    const message = `a process finds the device ${source} there, and not at ${target}`;
    throw new OrchdError("invalid", message);
  }
}

function groupOf(device: string): number[] {
  const found = fs.statSync(device, { throwIfNoEntry: false });
  const isGroups = found !== undefined && (found.mode & 0o060) !== 0 && found.gid !== 0;
  return isGroups ? [found.gid] : [];
}

function namespacesOf({ container }: KeptPlan): string[] {
  const { networkMode, ipcMode, utsMode } = container;
  return [
    ...(networkMode === "bridge" || networkMode === "none" ? ["--net"] : []),
    ...(ipcMode === "host" ? [] : ["--ipc"]),
    ...(utsMode === "host" ? [] : ["--uts"]),
  ];
}

function writesOf(taskId: TaskId, { container }: KeptPlan): (readonly [string, string])[] {
  const { utsMode, domainName, oomScoreAdjust, sysctls } = container;
  const name = nameOf(taskId, container);
  return [
    ...(utsMode === "host" ? [] : [["/proc/sys/kernel/hostname", name] as const]),
    ...(utsMode === "host" || domainName === undefined
      ? []
      : [["/proc/sys/kernel/domainname", domainName] as const]),
    ...(oomScoreAdjust === undefined
      ? []
      : [["/proc/self/oom_score_adj", String(oomScoreAdjust)] as const]),
    ...Object.entries(sysctls).map(
      ([key, value]) => [`/proc/sys/${key.replaceAll(".", "/")}`, value] as const,
    ),
  ];
}

/** The name that the machine has for the process. */
export function nameOf(taskId: TaskId, { hostname, utsMode }: KeptPlan["container"]): string {
  if (utsMode === "host") return fs.readFileSync("/proc/sys/kernel/hostname", "utf8").trim();
  return hostname ?? taskId;
}

function etcNames(directory: string): string[] {
  return fs.readdirSync(`${directory}/etc`);
}
