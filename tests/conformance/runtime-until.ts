import { scheduler } from "node:timers/promises";
import { OrchdError } from "../../src/lib/errors.ts";

const DEADLINE_MS = 10_000;
const LOOK_AGAIN_MS = 1;

/** Resolves with the first answer that is not undefined or false; fails after ten seconds. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await scheduler.wait(LOOK_AGAIN_MS);
  }
}

/** The OrchdError with which a call fails. */
export async function failureOf(call: Promise<unknown>): Promise<OrchdError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof OrchdError) return error;
    throw error;
  }
  throw new Error("the call was to fail and did not");
}
