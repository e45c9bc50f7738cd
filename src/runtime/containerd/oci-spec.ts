import { CPU_PERIOD_US, PIDS_DEFAULT } from "../oci-limits.ts";
import { hostname } from "node:os";
import { OrchdError } from "../../lib/errors.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { ContainerSpec, Resources } from "../../model/container.ts";
import { limitsSpecOf, type ProcessLimits } from "../podman/process-limits.ts";
import type { Account } from "./accounts.ts";
import { addedCapabilities } from "./capabilities.ts";
import type { ImageConfig } from "./image-documents.ts";
import type { OciDevice } from "./oci-devices.ts";
import { INIT_PATH, propagationOf, type OciMount } from "./oci-mounts.ts";
import type { Security } from "./oci-security.ts";

export interface OciInput {
  assignment: Assignment;
  image: ImageConfig;
  account: Account;
  security: Security;
  mounts: readonly OciMount[];
  devices: readonly OciDevice[];
  limits: ProcessLimits;
  /** Whether the kernel counts swap, and has the new cgroups. */
  kernel: { countsSwap: boolean; unifiedCgroups: boolean };
  /** Where its cgroup is. */
  cgroupsPath: string;
  /** The namespace of another container's network that it shares. */
  network?: string;
}

/** As in Podman. */
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * What the OCI runtime is to make of an assignment (OCI runtime-spec 1.0).
 * @throws OrchdError `invalid` for what this driver can't do
 */
export function ociSpecOf(input: OciInput): Record<string, unknown> {
  const { assignment, mounts } = input;
  const spec = assignment.container;
  if (spec.usernsMode === "private") {
    throw new OrchdError("invalid", "the containerd driver has no user namespaces (userns_mode)");
  }
  const name = hostnameOf(assignment);
  return {
    ociVersion: "1.0.2",
    process: processOf(input),
    root: { path: "rootfs", readonly: spec.readOnly },
    ...(spec.utsMode === "private" ? { hostname: name } : {}),
    mounts,
    annotations: spec.annotations,
    linux: linuxOf(input, propagationOf(mounts)),
  };
}

/** The name that a container has for itself. */
export function hostnameOf({ container, taskId }: Assignment): string {
  if (container.hostname !== undefined) return container.hostname;
  const isNodes = container.networkMode === "host" || container.utsMode === "host";
  return isNodes ? hostname() : taskId;
}

function processOf(input: OciInput): Record<string, unknown> {
  const { assignment, image, account, security } = input;
  const spec = assignment.container;
  const { uid, gid, additionalGids } = account;
  return {
    terminal: spec.tty,
    user: { uid, gid, additionalGids },
    args: argsOf(spec, image),
    env: environmentOf(input),
    cwd: spec.workingDir ?? (image.config?.WorkingDir || "/"),
    capabilities: processCapabilities(spec, account, security.capabilities),
    noNewPrivileges: security.noNewPrivileges,
    ...(security.apparmor === undefined ? {} : { apparmorProfile: security.apparmor }),
    rlimits: limitsSpecOf(spec.ulimits, input.limits).map((limit) => ({
      ...limit,
      type: `RLIMIT_${"type" in limit ? String(limit.type) : ""}`,
    })),
    ...(spec.oomScoreAdjust === undefined ? {} : { oomScoreAdj: spec.oomScoreAdjust }),
  };
}

/** As in Docker: who gives another entrypoint does not get the image's command. */
function argsOf(spec: ContainerSpec, { config }: ImageConfig): string[] {
  const entrypoint = spec.entrypoint ?? config?.Entrypoint ?? [];
  const usual = spec.entrypoint === undefined ? (config?.Cmd ?? []) : [];
  const args = [...entrypoint, ...(spec.command ?? usual)];
  if (args.length === 0) {
    const message = "the image has no command of its own and the service gives none";
    throw new OrchdError("runtime", message);
  }
  return spec.init ? [INIT_PATH, "--", ...args] : args;
}

function environmentOf({ assignment, image, account }: OciInput): string[] {
  const { container } = assignment;
  const values = new Map<string, string>();
  const put = (text: string) => {
    const at = text.indexOf("=");
    if (at > 0) values.set(text.slice(0, at), text.slice(at + 1));
  };
  put(PATH);
  put(`HOSTNAME=${hostnameOf(assignment)}`);
  put(`HOME=${account.home}`);
  if (container.tty) put("TERM=xterm");
  for (const text of image.config?.Env ?? []) put(text);
  for (const [name, value] of Object.entries(container.environment)) values.set(name, value);
  return [...values].map(([name, value]) => `${name}=${value}`);
}

/** Who is not root has those only that were asked for, as with Podman. */
export function processCapabilities(
  { capAdd, privileged }: Pick<ContainerSpec, "capAdd" | "privileged">,
  { uid }: Pick<Account, "uid">,
  all: ReadonlySet<string>,
): Record<string, string[]> {
  const bounding = [...all];
  if (uid === 0) return { bounding, effective: bounding, permitted: bounding };
  const added = privileged ? [] : addedCapabilities(capAdd, all);
  return { bounding, effective: added, permitted: added, inheritable: added, ambient: added };
}

function linuxOf(input: OciInput, propagation: string | undefined): Record<string, unknown> {
  const { assignment, security, devices, cgroupsPath } = input;
  const spec = assignment.container;
  return {
    namespaces: namespacesOf(input),
    sysctl: sysctlsOf(spec),
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
    devices: devices.map(({ access: _access, ...device }) => device),
    resources: {
      devices: [
        { allow: spec.privileged, access: "rwm" },
        ...devices.map(({ type, major, minor, access }) => {
          return { allow: true, type, major, minor, access };
        }),
      ],
      ...resourcesOf(spec, assignment.resources, input.kernel.countsSwap),
    },
    cgroupsPath,
    maskedPaths: security.maskedPaths,
    readonlyPaths: security.readonlyPaths,
    ...(security.seccomp === undefined ? {} : { seccomp: security.seccomp }),
  };
}

function namespacesOf({ assignment, kernel, network }: OciInput): object[] {
  const spec = assignment.container;
  const cgroups = spec.cgroupMode ?? (kernel.unifiedCgroups ? "private" : "host");
  return [
    { type: "mount" },
    ...(spec.networkMode === "host"
      ? []
      : [{ type: "network", ...(network && { path: network }) }]),
    ...(spec.pidMode === "host" ? [] : [{ type: "pid" }]),
    ...(spec.ipcMode === "host" ? [] : [{ type: "ipc" }]),
    ...(spec.utsMode === "host" ? [] : [{ type: "uts" }]),
    ...(cgroups === "host" ? [] : [{ type: "cgroup" }]),
  ];
}

function sysctlsOf(spec: ContainerSpec): Record<string, string> {
  const isOwnNetwork = spec.networkMode === "bridge" || spec.networkMode === "none";
  return {
    ...(isOwnNetwork ? { "net.ipv4.ping_group_range": "0 0" } : {}),
    ...(spec.domainName === undefined ? {} : { "kernel.domainname": spec.domainName }),
    ...spec.sysctls,
  };
}

function resourcesOf(
  spec: ContainerSpec,
  { limits }: Resources,
  countsSwap: boolean,
): Record<string, unknown> {
  const { memoryBytes, memorySwapBytes, cpuMillis, cpuShares, cpuSet } = limits;
  // As much swap again as memory, unless it is said, as with Podman and Docker.
  const swap = memorySwapBytes ?? (memoryBytes === undefined ? undefined : memoryBytes * 2);
  return {
    memory: {
      ...(memoryBytes === undefined ? {} : { limit: memoryBytes }),
      ...(swap === undefined || !countsSwap ? {} : { swap }),
      ...(spec.oomKillDisable ? { disableOOMKiller: true } : {}),
    },
    cpu: {
      ...(cpuShares === undefined ? {} : { shares: cpuShares }),
      ...(cpuSet === undefined ? {} : { cpus: cpuSet }),
      ...(cpuMillis === undefined
        ? {}
        : { period: CPU_PERIOD_US, quota: (cpuMillis * CPU_PERIOD_US) / 1000 }),
    },
    pids: { limit: limits.pids ?? PIDS_DEFAULT },
  };
}
