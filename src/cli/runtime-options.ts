import { Option } from "commander";
import { collect, pathFrom, usageError } from "./context.ts";
import type { Io } from "./io.ts";
import { RUNTIME_NAMES, type RuntimeName, type RuntimeSockets } from "./program.ts";

/** What `runtimeOptions` make of a command line. */
export interface RuntimeFlags {
  runtime: RuntimeName;
  podmanSocket?: string;
  containerdSocket?: string;
  dockerSocket?: string;
  allowProcess?: string[];
}

export function runtimeOptions(): Option[] {
  return [
    new Option("--runtime <name>", "what runs the containers; auto takes what is there")
      .choices(RUNTIME_NAMES)
      .default("auto"),
    new Option("--podman-socket <path>", "socket of a Podman service that runs already"),
    new Option("--containerd-socket <path>", "socket of containerd, where it is not the usual one"),
    new Option("--docker-socket <path>", "socket of Docker, where it is not the usual one"),
    new Option(
      "--allow-process <dir>",
      "tasks may run programs of this directory without a container; can be given several times",
    ).argParser(collect),
  ];
}

export function runtimeFrom(
  io: Io,
  { runtime, podmanSocket, containerdSocket, dockerSocket, allowProcess }: RuntimeFlags,
): { runtime: RuntimeName; sockets: RuntimeSockets; processes?: string[] } {
  const sockets = {
    ...(podmanSocket === undefined ? {} : { podman: pathFrom(io, podmanSocket) }),
    ...(containerdSocket === undefined ? {} : { containerd: pathFrom(io, containerdSocket) }),
    ...(dockerSocket === undefined ? {} : { docker: pathFrom(io, dockerSocket) }),
  };
  const given = allowProcess ?? io.env["ORCHD_ALLOW_PROCESS"]?.split(":").filter(Boolean);
  const processes = given?.map((path) => pathFrom(io, path));
  if (runtime === "process" && processes === undefined) {
    throw usageError("--runtime process needs --allow-process DIR, whose programs may be run");
  }
  if (runtime === "fake" && processes !== undefined) {
    throw usageError("--allow-process does not go with --runtime fake");
  }
  return { runtime, sockets, ...(processes === undefined ? {} : { processes }) };
}
