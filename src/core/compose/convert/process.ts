import type { ContainerSpec } from "../../../model/container.ts";
import type { Cursor } from "./cursor.ts";

/** What a process says instead of an image. */
export const PROCESS: Pick<ContainerSpec, "runtime" | "pullPolicy"> = {
  runtime: "process",
  pullPolicy: "never",
};

const NO_IMAGE = "does not go with x-orchd.runtime: process, which has no image";

/** What a plain process can't have, with what stands in its way. */
const REFUSED: Readonly<Record<string, string>> = {
  image: NO_IMAGE,
  build: NO_IMAGE,
  platform: `${NO_IMAGE}; say where it can run by x-orchd.constraints`,
  pull_policy: NO_IMAGE,
  userns_mode: "does not go with x-orchd.runtime: process, whose users are the node's own",
  cgroup: "does not go with x-orchd.runtime: process, which sees the node's cgroups",
};

/** The same of what is on or off. */
const REFUSED_FLAGS: Readonly<Record<string, string>> = {
  privileged: "does not go with x-orchd.runtime: process: give it a user and cap_add",
  tty: "does not go with x-orchd.runtime: process, which has no terminal",
  stdin_open: "does not go with x-orchd.runtime: process, which has no input",
  oom_kill_disable: "does not go with x-orchd.runtime: process",
};

/** Whether a service is of plain processes: `x-orchd.runtime`. */
export function isProcessOf(service: Cursor): boolean {
  return service.get("x-orchd")?.get("runtime")?.text() === "process";
}

/** Tells of everything that a plain process can't have. */
export function refuseForProcess(service: Cursor): void {
  for (const [key, note] of Object.entries(REFUSED)) service.get(key)?.refuse(note);
  for (const [key, note] of Object.entries(REFUSED_FLAGS)) {
    const given = service.get(key);
    if (given?.flag() === true) given.refuse(note);
  }
  if (service.get("init")?.flag() === true) {
    service.get("init")?.warn("means nothing to a process: the node's own init is there for it");
  }
  const annotations = service.get("annotations");
  annotations?.warn("are for container runtimes, and a process has none");
  if (!service.has("command") && !service.has("entrypoint")) {
    service.errorAtKey("has no command, which a process needs");
  }
}
