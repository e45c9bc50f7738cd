import { address6Of } from "../../core/network/address6.ts";
import type { ContainerSpec, Mount, Resources } from "../../model/container.ts";
import type { BridgeNetwork } from "../driver.ts";
import { CPU_PERIOD_US, PIDS_DEFAULT } from "../oci-limits.ts";
import { labelsOf, stopSignalOf, type CreateSpecOptions } from "../podman/create-spec.ts";
import { linkAddressOf } from "../podman/link-address.ts";
import { boundedLimits } from "../podman/process-limits.ts";
import { securityOf } from "./security.ts";

export interface CreateBodyOptions extends Omit<CreateSpecOptions, "shared" | "resolver"> {
  /** The name that it has for itself. */
  hostname: string;
  /** Another task's container, in whose network this one is to be. */
  shared?: { task: CreateSpecOptions["assignment"]["taskId"]; containerId: string };
  /** Files that stand in place of those of its /etc, by name. */
  etc: ReadonlyMap<string, string>;
}

/** With which a log is begun anew, and how many are kept in all. */
const LOG_OPTIONS = { "max-size": "10m", "max-file": "3" };

/**
 * What Docker is to make of an assignment: the body of `POST /containers/create` (version 1.41).
 * Ports are never published here: the node's packet filter does that.
 * @throws OrchdError `invalid` for values that Docker does not know
 */
export function createBodyOf(options: CreateBodyOptions): Record<string, unknown> {
  const { assignment, network, address, shared } = options;
  const spec = assignment.container;
  const isOnBridge = spec.networkMode === "bridge" && shared === undefined;
  const hasOwnName = shared === undefined && spec.utsMode !== "host";
  return {
    Image: spec.image,
    Entrypoint: spec.entrypoint,
    Cmd: spec.command,
    Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(options, shared?.task),
    User: spec.user,
    WorkingDir: spec.workingDir,
    Tty: spec.tty,
    OpenStdin: spec.stdinOpen,
    StopSignal: stopSignalOf(spec)?.toString(),
    StopTimeout: Math.ceil(spec.stopGraceMs / 1000),
    ...(hasOwnName && spec.networkMode !== "host"
      ? { Hostname: options.hostname, Domainname: spec.domainName }
      : {}),
    // Health checks are orchd's decision alone.
    Healthcheck: { Test: ["NONE"] },
    ...(isOnBridge && address !== undefined ? { MacAddress: linkAddressOf(address) } : {}),
    HostConfig: hostConfigOf(options),
    NetworkingConfig: isOnBridge
      ? { EndpointsConfig: { [network.name]: endpointOf(network, address) } }
      : undefined,
  };
}

function endpointOf({ range6 }: BridgeNetwork, address: string | undefined): object {
  if (address === undefined) return {};
  const inet6 = range6 === undefined ? {} : { IPv6Address: address6Of(range6, address) };
  return { IPAMConfig: { IPv4Address: address, ...inet6 } };
}

function hostConfigOf(options: CreateBodyOptions): Record<string, unknown> {
  const { assignment, network, shared, limits } = options;
  const spec = assignment.container;
  const mode = spec.networkMode === "bridge" ? network.name : spec.networkMode;
  return {
    Init: spec.init || undefined,
    // Restarting is orchd's decision alone.
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: LOG_OPTIONS },
    NetworkMode: shared === undefined ? mode : `container:${shared.containerId}`,
    GroupAdd: spec.groupAdd,
    Devices: spec.devices.map((device) => ({
      PathOnHost: device.source,
      PathInContainer: device.target,
      CgroupPermissions: device.permissions || "rwm",
    })),
    ShmSize: spec.shmSizeBytes,
    Sysctls: spec.sysctls,
    OomScoreAdj: spec.oomScoreAdjust,
    OomKillDisable: spec.oomKillDisable || undefined,
    Ulimits: boundedLimits(spec.ulimits, limits).map(({ name, soft, hard }) => ({
      Name: name.toLowerCase(),
      Soft: Number.isFinite(soft) ? soft : -1,
      Hard: Number.isFinite(hard) ? hard : -1,
    })),
    ...mountsOf(spec.mounts, options.etc),
    ...resourcesOf(assignment.resources),
    ...namespacesOf(spec),
    ...securityOf(spec),
  };
}

function namespacesOf(spec: ContainerSpec): Record<string, unknown> {
  const hostOr = (mode: string | undefined, other = "") => (mode === "host" ? "host" : other);
  return {
    PidMode: hostOr(spec.pidMode),
    IpcMode: hostOr(spec.ipcMode, spec.ipcMode),
    UTSMode: hostOr(spec.utsMode),
    UsernsMode: hostOr(spec.usernsMode),
    CgroupnsMode: spec.cgroupMode,
  };
}

function mountsOf(all: readonly Mount[], etc: ReadonlyMap<string, string>): object {
  const mounts: object[] = [];
  const tmpfs: Record<string, string> = {};
  for (const [name, source] of etc) {
    // One that the task mounts there itself is its own business.
    if (all.some(({ target }) => target === `/etc/${name}`)) continue;
    mounts.push({ Type: "bind", Source: source, Target: `/etc/${name}` });
  }
  for (const mount of all) {
    if (mount.type === "tmpfs") tmpfs[mount.target] = tmpfsOptionsOf(mount);
    else mounts.push(mountOf(mount));
  }
  return { Mounts: mounts, Tmpfs: tmpfs };
}

function mountOf(mount: Exclude<Mount, { type: "tmpfs" }>): object {
  const common = { Target: mount.target, ReadOnly: mount.readOnly };
  if (mount.type === "volume") {
    const VolumeOptions = { NoCopy: mount.noCopy };
    return { ...common, Type: "volume", Source: mount.volume, VolumeOptions };
  }
  const Propagation = mount.propagation;
  return { ...common, Type: "bind", Source: mount.source, BindOptions: { Propagation } };
}

/** Programs may be run there, as with Podman; by itself Docker would not let them. */
function tmpfsOptionsOf({ sizeBytes, mode }: Extract<Mount, { type: "tmpfs" }>): string {
  return [
    "exec",
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
  ].join(",");
}

function resourcesOf({ limits }: Resources): Record<string, unknown> {
  const { cpuMillis } = limits;
  return {
    Memory: limits.memoryBytes,
    MemorySwap: limits.memorySwapBytes,
    CpuShares: limits.cpuShares,
    CpusetCpus: limits.cpuSet,
    PidsLimit: limits.pids ?? PIDS_DEFAULT,
    ...(cpuMillis === undefined
      ? {}
      : { CpuPeriod: CPU_PERIOD_US, CpuQuota: (cpuMillis * CPU_PERIOD_US) / 1000 }),
  };
}

/** Far above the memory of any machine; Docker has no word for "no limit any more". */
const NO_LIMIT_BYTES = 2 ** 62;

/**
 * The body of `POST /containers/ID/update`. What is not limited is said as well, for what is left
 * out stays as it is.
 */
export function changeBodyOf(
  limits: Resources["limits"],
  countsSwap: boolean,
): Record<string, number> {
  const { cpuMillis, memoryBytes = 0, memorySwapBytes = 0, cpuShares = 0, pids } = limits;
  const isLimited = memoryBytes > 0;
  const swap = memorySwapBytes === 0 ? memoryBytes * 2 : memorySwapBytes;
  return {
    Memory: isLimited ? memoryBytes : NO_LIMIT_BYTES,
    ...(countsSwap ? { MemorySwap: isLimited ? swap : NO_LIMIT_BYTES } : {}),
    CpuPeriod: CPU_PERIOD_US,
    CpuQuota: cpuMillis === undefined ? -1 : (cpuMillis * CPU_PERIOD_US) / 1000,
    CpuShares: cpuShares > 0 ? cpuShares : 1024,
    PidsLimit: pids ?? PIDS_DEFAULT,
  };
}
