import { existsSync } from "node:fs";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import type { NodeId } from "../model/ids.ts";
import type { Runtime } from "./driver.ts";

/** As in the drivers themselves, which are loaded only when one is opened. */
const PODMAN_SOCKET = "/run/podman/podman.sock";
const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";
const DOCKER_SOCKET = "/run/docker.sock";

export type RuntimeKind = "podman" | "containerd" | "docker" | "process" | "fake";
/** `auto` takes what is there. */
export type RuntimeChoice = RuntimeKind | "auto";

export interface RuntimeOptions {
  nodeId: NodeId;
  /** Where a driver keeps sockets and the like; made when it is missing. */
  runDir: string;
  /** Where a driver keeps what its runtime does not, and what outlives the machine's restart. */
  dataDir: string;
  clock: Clock;
  random: Random;
  /** Sockets of runtimes; where absent the driver finds one or starts its own service. */
  sockets: RuntimeSockets;
  /** Directories whose programs plain processes may run; absent means that there are none. */
  processes?: readonly string[] | undefined;
}

export interface RuntimeSockets {
  podman?: string;
  containerd?: string;
  docker?: string;
}

/** Whether the machine has them, or has them running. */
type Machine = Readonly<Record<"podman" | "containerd" | "docker", () => boolean>>;

const MACHINE: Machine = {
  podman: () => existsSync(PODMAN_SOCKET) || Bun.which("podman") !== null,
  containerd: () => existsSync(CONTAINERD_SOCKET) || Bun.which("containerd") !== null,
  docker: () => existsSync(DOCKER_SOCKET),
};

/**
 * The runtime that is meant: of several that are there the one whose socket was given, else Podman,
 * else containerd, else Docker.
 * A machine with none runs plain processes alone, where that is allowed.
 * @throws OrchdError `runtime` when there is none, with what to install
 */
export function chooseRuntime(
  choice: RuntimeChoice,
  sockets: RuntimeSockets,
  processes?: readonly string[],
  machine: Machine = MACHINE,
): RuntimeKind {
  if (choice !== "auto") return choice;
  const kinds = ["podman", "containerd", "docker"] as const;
  const given = kinds.find((kind) => sockets[kind] !== undefined);
  const found = given ?? kinds.find((kind) => machine[kind]());
  if (found !== undefined) return found;
  if (processes !== undefined) return "process";
  throw new OrchdError(
    "runtime",
    "this machine has neither Podman nor containerd nor Docker: install one (Debian: apt install " +
      "podman runc netavark, or apt install containerd)",
  );
}

/** Whether it has containers that the node's network, devices and files are for. */
export function isReal(kind: RuntimeChoice): boolean {
  return kind !== "fake";
}

/**
 * Opens a driver; only that one is loaded, and beside it that of plain processes where they are
 * allowed. Throws `OrchdError` when it can't work here.
 */
export async function openRuntime(kind: RuntimeKind, options: RuntimeOptions): Promise<Runtime> {
  const { processes: allowed, ...others } = options;
  if (kind !== "process" && allowed === undefined) return openOne(kind, options);
  if (kind === "fake") return openOne(kind, options);
  const { ProcessRuntime } = await import("./process/process-runtime.ts");
  if (kind === "process") return ProcessRuntime.open({ ...others, allowed: allowed ?? [] });
  const containers = await openOne(kind, options);
  try {
    const beside = await ProcessRuntime.open({
      ...others,
      allowed: allowed ?? [],
      beside: containers,
    });
    const { SideBySide } = await import("./side-by-side.ts");
    return new SideBySide(containers, beside);
  } catch (error) {
    await containers.close();
    throw error;
  }
}

async function openOne(
  kind: Exclude<RuntimeKind, "process">,
  options: RuntimeOptions,
): Promise<Runtime> {
  if (kind === "fake") {
    const { FakeRuntime } = await import("./fake/fake-runtime.ts");
    return new FakeRuntime(options);
  }
  const { sockets, processes: _, ...own } = options;
  const socket = sockets[kind];
  const given = { ...own, ...(socket === undefined ? {} : { socket }) };
  if (kind === "containerd") {
    const { ContainerdRuntime } = await import("./containerd/containerd-runtime.ts");
    return ContainerdRuntime.open(given);
  }
  if (kind === "docker") {
    const { DockerRuntime } = await import("./docker/docker-runtime.ts");
    return DockerRuntime.open(given);
  }
  const { PodmanRuntime } = await import("./podman/podman-runtime.ts");
  return PodmanRuntime.open(given);
}
