import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { LogLine, LogOptions } from "../../model/session.ts";
import { stateOf, type Inspected } from "./container-status.ts";
import type { PodmanHttp } from "./http.ts";
import { readLog } from "./log-reader.ts";
import { waitFor } from "./wait-for.ts";

/** Between two looks at a container that Podman is just starting, or at a Podman that is away. */
const LOOK_AGAIN_MS = 200;

const READABLE: ReadonlySet<string> = new Set(["k8s-file", "json-file"]);

export interface LogContainer {
  http: PodmanHttp;
  clock: Clock;
  /** What Podman knows of the container; undefined once it is gone. */
  inspect(): Promise<Inspected | undefined>;
}

/** The log lines of a container; see `Runtime.logs`. */
export async function* readContainerLog(
  container: LogContainer,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const inspected = await container.inspect();
  if (inspected === undefined) {
    throw new OrchdError("notFound", "the container is gone, and its log with it");
  }
  const { Type, Path } = inspected.HostConfig.LogConfig;
  if (!READABLE.has(Type) || Path === "") {
    throw new OrchdError("runtime", `the container logs to ${Type}, which orchd can't read`);
  }
  const ended = (given: AbortSignal) => waitForEnd(container, inspected.Id, given);
  yield* readLog({ path: Path, ended }, options, signal);
}

/** Resolves when the container has ended or is gone, or `signal` aborts. Podman may be away. */
async function waitForEnd(container: LogContainer, id: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const inspected = await container.inspect();
      if (inspected === undefined || stateOf(inspected.State.Status) === "exited") return;
      if (stateOf(inspected.State.Status) === "running") {
        await container.http.waitForExit(id, signal);
        continue;
      }
    } catch (error) {
      // The service is being started again, or the container went away: the next look tells.
      if (!(error instanceof OrchdError)) throw error;
    }
    await waitFor(container.clock, LOOK_AGAIN_MS, signal);
  }
}
