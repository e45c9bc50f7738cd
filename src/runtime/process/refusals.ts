import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";

/** What a plain process can't have: each is refused by its name in Compose. */
const CANNOT: readonly (readonly [key: string, isAsked: (spec: ContainerSpec) => boolean])[] = [
  ["privileged", ({ privileged }) => privileged],
  ["tty", ({ tty }) => tty],
  ["stdin_open", ({ stdinOpen }) => stdinOpen],
  ["oom_kill_disable", ({ oomKillDisable }) => oomKillDisable],
  ["userns_mode", ({ usernsMode }) => usernsMode === "private"],
  ["cgroup: private", ({ cgroupMode }) => cgroupMode === "private"],
];

/** Of security_opt, what holds for a process anyway. */
const HOLDS =
  /^(?:no-new-privileges(?:[:=]true)?|(?:seccomp|apparmor)[:=]unconfined|label[:=]disable)$/;

/** @throws OrchdError `invalid` for what a process can't have */
export function refuseImpossible(spec: ContainerSpec): void {
  const found = CANNOT.find(([, isAsked]) => isAsked(spec));
  if (found !== undefined) {
    throw new OrchdError("invalid", `a process can't have ${found[0]}: run it in a container`);
  }
  const option = spec.securityOptions.find((text) => !HOLDS.test(text));
  if (option !== undefined) {
    throw new OrchdError("invalid", `the security option "${option}" is unknown to process`);
  }
  for (const name of Object.keys(spec.sysctls)) {
    if (isOwnSysctl(name, spec)) continue;
    throw new OrchdError("invalid", `the sysctl ${name} is the node's own, and not the task's`);
  }
  for (const mount of spec.mounts) {
    if (mount.type !== "bind" || /^r?(?:private|slave)$/.test(mount.propagation ?? "private")) {
      continue;
    }
    const message = `a process can't hand on what it mounts (propagation ${mount.propagation})`;
    throw new OrchdError("invalid", message);
  }
}

/** Whether a setting of the kernel belongs to a namespace that the process has for itself. */
function isOwnSysctl(name: string, { networkMode, ipcMode }: ContainerSpec): boolean {
  if (!/^[a-z0-9_]+(?:[./][a-zA-Z0-9_-]+)+$/.test(name)) return false;
  if (name.startsWith("net.")) return networkMode === "bridge" || networkMode === "none";
  const isIpc = /^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue\.)/.test(name);
  return isIpc && ipcMode !== "host";
}
