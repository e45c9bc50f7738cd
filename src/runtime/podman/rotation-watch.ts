import { watch } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { waitFor } from "./wait-for.ts";

const EVENTS_LOG = "/events/events.log";
const LOOKS = 5;
const LOOK_AGAIN_MS = 100;

/**
 * Calls `onRotated` when Podman begins a new file for its events. A stream that Podman was reading
 * from the old one may go silent then without ending: seen with 4.3.1, where a crash went unnoticed
 * until the next event of any kind. Where events do not lie in a file there is nothing to watch.
 * @param servicePid whose open files tell where the events lie
 */
export async function watchRotation(
  servicePid: number,
  clock: Clock,
  onRotated: () => void,
  signal: AbortSignal,
): Promise<void> {
  const path = await findEventsLog(servicePid, clock, signal);
  if (path === undefined || signal.aborted) return;
  try {
    const watcher = watch(dirname(path), (event, name) => {
      if (event === "rename" && path.endsWith(`/${name}`)) onRotated();
    });
    // The directory went away: so did the service, and its stream ends.
    watcher.on("error", onRotated);
    signal.addEventListener("abort", () => watcher.close(), { once: true });
  } catch {
    // No watches are left on this machine: the stream's regular renewal has to do.
  }
}

/** Podman opens the file a moment after it has answered. */
async function findEventsLog(
  pid: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let look = 0; look < LOOKS && !signal.aborted; look++) {
    const found = (await openFilesOf(pid)).find((path) => path.endsWith(EVENTS_LOG));
    if (found !== undefined) return found;
    await waitFor(clock, LOOK_AGAIN_MS, signal);
  }
  return undefined;
}

async function openFilesOf(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  try {
    const links = await readdir(directory);
    return await Promise.all(links.map((link) => readlink(`${directory}/${link}`).catch(() => "")));
  } catch {
    // The service ended, or is not ours to look at.
    return [];
  }
}
