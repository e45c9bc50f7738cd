import { Option } from "commander";
import { pathFrom } from "./context.ts";
import type { Io } from "./io.ts";

/** What runs containers; `auto` takes what is there. */
const RUNTIME_NAMES = ["auto", "podman", "containerd", "fake"] as const;
export type RuntimeName = (typeof RUNTIME_NAMES)[number];

/** Where runtimes answer that are not where they usually are. */
export interface RuntimeSockets {
  podman?: string;
  containerd?: string;
}

/** What `runtimeOptions` make of a command line. */
export interface RuntimeFlags {
  runtime: RuntimeName;
  podmanSocket?: string;
  containerdSocket?: string;
}

export function runtimeOptions(): Option[] {
  return [
    new Option("--runtime <name>", "what runs the containers; auto takes what is there")
      .choices(RUNTIME_NAMES)
      .default("auto"),
    new Option("--podman-socket <path>", "socket of a Podman service that runs already"),
    new Option("--containerd-socket <path>", "socket of containerd, where it is not the usual one"),
  ];
}

export function runtimeFrom(
  io: Io,
  { runtime, podmanSocket, containerdSocket }: RuntimeFlags,
): { runtime: RuntimeName; sockets: RuntimeSockets } {
  const sockets = {
    ...(podmanSocket === undefined ? {} : { podman: pathFrom(io, podmanSocket) }),
    ...(containerdSocket === undefined ? {} : { containerd: pathFrom(io, containerdSocket) }),
  };
  return { runtime, sockets };
}
