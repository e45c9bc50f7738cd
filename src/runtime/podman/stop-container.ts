import { OrchdError } from "../../lib/errors.ts";
import type { PodmanHttp } from "./http.ts";

/** How much longer than the grace period Podman may take to kill and to tidy up. */
const STOP_MARGIN_MS = 30_000;
/** "… is running or paused, refusing to clean up", or "… is in state paused". */
const PAUSED = /\bpaused\b/;
const NOT_PAUSED = /is not paused/;
const ALREADY_PAUSED = /already paused/;

/**
 * Stops a container, also one that somebody has paused, which Podman itself refuses, and one whose
 * monitor was killed: Podman says at once that it has stopped that, and calls it stopping for ever.
 * Asked once more it waits for the monitor's word on the end, and goes without it after some time.
 * @param runs whether Podman has it as running still
 */
export async function stopContainer(
  http: PodmanHttp,
  id: string,
  { graceMs, runs }: { graceMs: number; runs: () => Promise<boolean> },
): Promise<void> {
  const timeout = Math.ceil(Math.max(0, graceMs) / 1000);
  const stop = () =>
    http.send("POST", `/containers/${id}/stop`, {
      query: { timeout },
      timeoutMs: timeout * 1000 + STOP_MARGIN_MS,
    });
  try {
    await stop();
  } catch (error) {
    if (!(error instanceof OrchdError) || !PAUSED.test(error.message)) throw error;
    await thawContainer(http, id);
    await stop();
  }
  if (!(await runs())) return;
  try {
    await stop();
  } catch (error) {
    if (await runs()) throw error;
  }
}

/** Freezes a container's processes; nothing for one that is frozen already. */
export async function freezeContainer(http: PodmanHttp, id: string): Promise<void> {
  try {
    await http.send("POST", `/containers/${id}/pause`);
  } catch (error) {
    if (!(error instanceof OrchdError) || !ALREADY_PAUSED.test(error.message)) throw error;
  }
}

/** Lets a container's processes go on; nothing for one that is not frozen. */
export async function thawContainer(http: PodmanHttp, id: string): Promise<void> {
  try {
    await http.send("POST", `/containers/${id}/unpause`);
  } catch (error) {
    // Somebody was faster: it can be stopped all the same.
    if (!(error instanceof OrchdError) || !NOT_PAUSED.test(error.message)) throw error;
  }
}
