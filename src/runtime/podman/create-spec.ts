import { address6Of } from "../../core/network/address6.ts";
import { CPU_PERIOD_US } from "../oci-limits.ts";
import { OrchdError } from "../../lib/errors.ts";
import { containerNameOf, type Assignment } from "../../model/assignment.ts";
import type { ContainerSpec, Mount, Resources } from "../../model/container.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import { LABELS, type BridgeNetwork, type Resolver } from "../driver.ts";
import { namesSpecOf } from "./names-spec.ts";
import { linkAddressOf } from "./link-address.ts";
import { limitsSpecOf, type ProcessLimits } from "./process-limits.ts";
import { securitySpecOf } from "./security-spec.ts";
import { signalNumberOf } from "./signals.ts";

export interface CreateSpecOptions {
  assignment: Assignment;
  nodeId: NodeId;
  network: BridgeNetwork;
  /** What the Podman service may grant: see `ProcessLimits`. */
  limits: ProcessLimits;
  address?: string;
  /** Another task's network, in which this one is to be: its name and where it is. */
  shared?: { task: TaskId; path: string };
  resolver?: Resolver;
}

const LOG_BYTES_MAX = 10 * 1024 * 1024;

/**
 * What Podman is to make of an assignment: the body of `POST /libpod/containers/create` (its
 * SpecGenerator, version 4). Ports are never published here: the node's packet filter does that.
 * @throws OrchdError `invalid` for values that Podman does not know
 */
export function createSpecOf(options: CreateSpecOptions): Record<string, unknown> {
  const { assignment } = options;
  const spec = assignment.container;
  return dropAbsent({
    name: containerNameOf(assignment),
    image: spec.image,
    entrypoint: spec.entrypoint,
    command: spec.command,
    env: spec.environment,
    labels: labelsOf(options, options.shared?.task),
    annotations: orAbsent(spec.annotations),
    user: spec.user,
    groups: listOrAbsent(spec.groupAdd),
    work_dir: spec.workingDir,
    // As Docker does: a working directory that the image lacks is made.
    create_working_dir: spec.workingDir === undefined ? undefined : true,
    init: spec.init || undefined,
    terminal: spec.tty,
    stdin: spec.stdinOpen,
    stop_signal: stopSignalOf(spec),
    stop_timeout: Math.ceil(spec.stopGraceMs / 1000),
    // Restarting is orchd's decision alone, and so are health checks.
    restart_policy: "no",
    healthconfig: { Test: ["NONE"] },
    sdnotifyMode: "ignore",
    log_configuration: { driver: "k8s-file", size: LOG_BYTES_MAX },
    devices: listOrAbsent(
      spec.devices.map((device) => ({
        path: `${device.source}:${device.target}:${device.permissions || "rwm"}`,
      })),
    ),
    shm_size: spec.shmSizeBytes,
    ...securitySpecOf(spec),
    ...mountsSpecOf(spec.mounts),
    ...networkSpecOf(options),
    ...resourcesSpecOf(spec, assignment.resources),
    r_limits: limitsSpecOf(spec.ulimits, options.limits),
  });
}

/** The labels by which orchd knows the container again; its own can't stand in their place. */
export function labelsOf(
  { assignment, nodeId, address }: Pick<CreateSpecOptions, "assignment" | "nodeId" | "address">,
  networkTask: TaskId | undefined,
): Record<string, string> {
  return {
    ...assignment.container.labels,
    [LABELS.owner]: nodeId,
    [LABELS.task]: assignment.taskId,
    [LABELS.stack]: assignment.stack,
    [LABELS.service]: assignment.service,
    [LABELS.slot]: assignment.slot,
    [LABELS.revision]: String(assignment.revision),
    ...(address === undefined ? {} : { [LABELS.address]: address }),
    ...(networkTask === undefined ? {} : { [LABELS.networkTask]: networkTask }),
  };
}

/** @throws OrchdError `invalid` where there is no such signal */
export function stopSignalOf(spec: ContainerSpec): number | undefined {
  if (spec.stopSignal === undefined) return undefined;
  const number = signalNumberOf(spec.stopSignal);
  if (number === undefined) {
    throw new OrchdError("invalid", `there is no signal "${spec.stopSignal}" to stop with`);
  }
  return number;
}

function mountsSpecOf(all: readonly Mount[]): Record<string, unknown> {
  const volumes: object[] = [];
  const mounts: object[] = [];
  for (const mount of all) {
    if (mount.type === "volume") {
      const options = [mount.readOnly ? "ro" : "rw", ...(mount.noCopy ? ["nocopy"] : [])];
      volumes.push({ Name: mount.volume, Dest: mount.target, Options: options });
    } else if (mount.type === "bind") {
      const options = [
        "rbind",
        mount.readOnly ? "ro" : "rw",
        ...(mount.propagation === undefined ? [] : [mount.propagation]),
      ];
      mounts.push({ type: "bind", source: mount.source, destination: mount.target, options });
    } else {
      // Without notmpcopyup what the image has there would be copied in, unlike with Docker.
      const options = [
        "notmpcopyup",
        ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`]),
        ...(mount.mode === undefined ? [] : [`mode=${mount.mode.toString(8)}`]),
      ];
      mounts.push({ type: "tmpfs", source: "tmpfs", destination: mount.target, options });
    }
  }
  return { volumes: listOrAbsent(volumes), mounts: listOrAbsent(mounts) };
}

function networkSpecOf(options: CreateSpecOptions): Record<string, unknown> {
  const { network, address, shared } = options;
  const spec = options.assignment.container;
  const bridge = spec.networkMode === "bridge";
  const perNetwork = {
    interface_name: "eth0",
    ...(address === undefined ? {} : ownAddresses(network, address)),
  };
  return {
    netns: shared === undefined ? { nsmode: spec.networkMode } : sharedNamespace(shared.path),
    Networks: bridge ? { [network.name]: perNetwork } : undefined,
    hostname: spec.hostname,
    ...namesSpecOf(spec, options.resolver),
    hostadd: listOrAbsent(
      spec.extraHosts.map(({ host, address: target }) => {
        const gateway = bridge || shared !== undefined ? network.gateway : "127.0.0.1";
        return `${host}:${target === "host-gateway" ? gateway : target}`;
      }),
    ),
    sysctl: orAbsent({
      ...spec.sysctls,
      ...(spec.domainName === undefined ? {} : { "kernel.domainname": spec.domainName }),
    }),
  };
}

function ownAddresses({ range6 }: BridgeNetwork, address: string) {
  const inet6 = range6 === undefined ? [] : [address6Of(range6, address)];
  return { static_ips: [address, ...inet6], static_mac: linkAddressOf(address) };
}

/**
 * By its path, and not as that of a container: then Podman would neither remove that one before
 * this one, nor let this one have names of its own.
 */
function sharedNamespace(path: string): Record<string, string> {
  return { nsmode: "path", value: path };
}

function resourcesSpecOf(spec: ContainerSpec, resources: Resources): Record<string, unknown> {
  const { limits } = resources;
  const memory = dropAbsent({
    limit: limits.memoryBytes,
    swap: limits.memorySwapBytes,
    disableOOMKiller: spec.oomKillDisable || undefined,
  });
  const cpu = dropAbsent({
    shares: limits.cpuShares,
    cpus: limits.cpuSet,
    ...(limits.cpuMillis === undefined
      ? {}
      : { period: CPU_PERIOD_US, quota: (limits.cpuMillis * CPU_PERIOD_US) / 1000 }),
  });
  return {
    resource_limits: orAbsent(
      dropAbsent({
        memory: orAbsent(memory),
        cpu: orAbsent(cpu),
        pids: limits.pids === undefined ? undefined : { limit: limits.pids },
      }),
    ),
    oom_score_adj: spec.oomScoreAdjust,
  };
}

/** Podman tells an absent field from an empty one. */
function dropAbsent(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
}

function orAbsent<T extends object>(value: T): T | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

function listOrAbsent<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
