import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { defaultSeccomp, seccompOfFile } from "./seccomp.ts";

/** As in Podman: what tells of the node, or could harm it. */
const MASKED = [
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/fs/selinux",
  "/sys/dev/block",
];
const READ_ONLY = [
  "/proc/asound",
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** What a container may do to its node. */
export interface Security {
  capabilities: Set<string>;
  noNewPrivileges: boolean;
  apparmor?: string;
  seccomp?: Record<string, unknown>;
  maskedPaths: string[];
  readonlyPaths: string[];
}

interface Options {
  noNewPrivileges: boolean;
  seccomp?: string;
  apparmor?: string;
  mask: string[];
  unmask: string[];
}

/** @throws OrchdError `invalid` for options and capabilities that there are not */
export function securityOf(spec: ContainerSpec, available: ReadonlySet<string>): Security {
  const options = optionsOf(spec.securityOptions);
  const capabilities = capabilitiesOf(spec, available);
  const { seccomp: profile, apparmor, mask, unmask, noNewPrivileges } = options;
  const isFiltered = profile === undefined ? !spec.privileged : profile !== "unconfined";
  const seccomp =
    profile === undefined || profile === "unconfined"
      ? defaultSeccomp(capabilities)
      : seccompOfFile(profile, capabilities);
  const isOpen = spec.privileged || unmask.includes("ALL");
  const shown = (path: string) => !unmask.includes(path);
  return {
    capabilities,
    noNewPrivileges,
    ...(apparmor === undefined || apparmor === "unconfined" ? {} : { apparmor }),
    ...(isFiltered ? { seccomp } : {}),
    maskedPaths: [...(isOpen ? [] : MASKED.filter(shown)), ...mask],
    readonlyPaths: isOpen ? [] : READ_ONLY.filter(shown),
  };
}

/** `security_opt` in Docker's spelling, `key:value` or `key=value`. */
function optionsOf(given: readonly string[]): Options {
  const options: Options = { noNewPrivileges: false, mask: [], unmask: [] };
  for (const option of given) {
    const [, key = "", value = ""] = option.match(/^([^:=]+)(?:[:=](.*))?$/s) ?? [];
    if (key === "no-new-privileges") options.noNewPrivileges = value !== "false";
    else if (key === "seccomp") options.seccomp = value;
    else if (key === "apparmor") options.apparmor = value;
    else if (key === "mask") options.mask.push(...value.split(":"));
    else if (key === "unmask") options.unmask.push(...value.split(":"));
    else if (key === "systempaths" && value === "unconfined") options.unmask.push("ALL");
    else if (key !== "label" || value !== "disable") {
      const message = `the security option "${option}" is unknown to the containerd driver`;
      throw new OrchdError("invalid", message);
    }
  }
  return options;
}
