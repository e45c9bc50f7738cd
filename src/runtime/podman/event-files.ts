import { existsSync, watch } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { waitFor } from "./wait-for.ts";

const EVENTS_LOG = "/events/events.log";
const CONTAINER_ID = /^[0-9a-f]{64}$/;
const LOOKS = 5;
const LOOK_AGAIN_MS = 100;

/** What Podman's files tell that its stream of events does not, or tells later. */
export interface FileNews {
  /**
   * Podman has begun a new file for its events. A stream that it was reading from the old one may
   * go silent then without ending: seen with 4.3.1, where a crash went unnoticed until the next
   * event of any kind.
   */
  onRotated: () => void;
  /**
   * The monitor of a container has written down how it ended. Podman takes that up when somebody
   * asks for the container, or with the event, for which it starts a program and looks at its file
   * four times a second.
   */
  onEnded: (containerId: string) => void;
}

/**
 * Watches both. Where events do not lie in a file there is nothing to watch.
 * @param servicePid whose open files tell where the events lie
 */
export async function watchEventFiles(
  servicePid: number,
  clock: Clock,
  { onRotated, onEnded }: FileNews,
  signal: AbortSignal,
): Promise<void> {
  const path = await findEventsLog(servicePid, clock, signal);
  if (path === undefined || signal.aborted) return;
  watchDirectory(dirname(path), signal, onRotated, (name) => {
    if (path.endsWith(`/${name}`)) onRotated();
  });
  // Podman's directory for what is true until the machine ends; its own events lie there, too.
  const exits = join(dirname(dirname(path)), "exits");
  watchDirectory(
    exits,
    signal,
    () => {},
    (name) => {
      // The notice is written under another name, and goes away with the container.
      if (CONTAINER_ID.test(name) && existsSync(join(exits, name))) onEnded(name);
    },
  );
}

/** Hears of files that come, go, or get another name. */
function watchDirectory(
  path: string,
  signal: AbortSignal,
  onGone: () => void,
  onName: (name: string) => void,
): void {
  try {
    const watcher = watch(path, (event, name) => {
      if (event === "rename" && name !== null) onName(name);
    });
    // The directory went away: so did the service, and its stream ends.
    watcher.on("error", onGone);
    signal.addEventListener("abort", () => watcher.close(), { once: true });
  } catch {
    // No watches are left on this machine: the stream and its regular renewal have to do.
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
