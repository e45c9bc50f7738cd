import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { type Inspected, stateOf } from "./container-status.ts";
import { isAlive } from "./service-process.ts";

/** How long an end that nobody tells may go unnoticed. */
const LOOK_MS = 5_000;
/** What is said of an end whose code nobody knows, as containerd says it. */
const UNKNOWN_CODE = 255;

export interface Programs {
  /** Ids of containers that are known to run. */
  running: () => Iterable<string>;
  /** The processes of containers that run, by the container's id. */
  processes: () => Promise<ReadonlyMap<string, number>>;
}

/**
 * Looks for programs that have ended with nobody to tell it, since their monitor was killed before:
 * Podman counts them as running for ever. While none has, a look costs one call of the kernel for
 * each program, and after a start one list. Answers how to stop looking.
 */
export function watchPrograms(
  { running, processes }: Programs,
  clock: Clock,
  onEnded: (containerId: string) => void,
): () => void {
  let known: ReadonlyMap<string, number> = new Map();
  let isOver = false;
  const isGone = (id: string) => {
    const pid = known.get(id);
    return pid === undefined || !isAlive(pid);
  };
  const look = async () => {
    if ([...running()].some(isGone)) known = await processes();
    // What is not in the list has ended in a way that Podman knows of.
    for (const id of running()) if (known.has(id) && isGone(id)) onEnded(id);
  };
  const again = () =>
    clock.after(LOOK_MS, () => {
      look()
        .catch((error: unknown) => {
          // Podman is away: so are its events, which begin with a list when it is back.
          if (!(error instanceof OrchdError)) throw error;
        })
        .finally(() => {
          if (!isOver) timer = again();
        });
    });
  let timer = again();
  return () => {
    isOver = true;
    timer.cancel();
  };
}

/**
 * Whether Podman has a container as running of which neither program nor monitor is there. A
 * monitor writes down the end before its own: what is inspected after this is true.
 */
export function mayBeLost({ State }: Inspected): boolean {
  const { Status, Pid, ConmonPid } = State;
  if (stateOf(Status) !== "running" || Pid <= 0 || ConmonPid <= 0) return false;
  return !isAlive(Pid) && !isAlive(ConmonPid);
}

/** A container as it is, whose end Podman was not told. */
export function asEnded(inspected: Inspected): Inspected {
  const State = { ...inspected.State, Status: "exited", ExitCode: UNKNOWN_CODE };
  return { ...inspected, State };
}
