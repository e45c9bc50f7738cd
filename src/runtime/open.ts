import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { NodeId } from "../model/ids.ts";
import type { Runtime } from "./driver.ts";

export const RUNTIME_KINDS = ["podman", "fake"] as const;
export type RuntimeKind = (typeof RUNTIME_KINDS)[number];

export interface RuntimeOptions {
  nodeId: NodeId;
  /** Where a driver keeps sockets and the like; made when it is missing. */
  runDir: string;
  clock: Clock;
  random: Random;
  /** The runtime's socket; where absent the driver finds one or starts its own service. */
  socket?: string;
}

/** Opens a driver; only that one is loaded. Throws `OrchdError` when it can't work here. */
export async function openRuntime(kind: RuntimeKind, options: RuntimeOptions): Promise<Runtime> {
  if (kind === "fake") {
    const { FakeRuntime } = await import("./fake/fake-runtime.ts");
    return new FakeRuntime(options);
  }
  const { PodmanRuntime } = await import("./podman/podman-runtime.ts");
  return PodmanRuntime.open(options);
}
