import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";

/** Less than other nodes wait: who hears that a transfer broke knows that this node is there. */
const STANDSTILL_MS = 10_000;

/**
 * What is passed on while it comes here, until no more of it does.
 * @throws OrchdError `unreachable` (retryable)
 */
export async function* whileItComes(
  pieces: AsyncGenerator<Uint8Array>,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const late = Promise.withResolvers<undefined>();
      const timer = clock.after(STANDSTILL_MS, () => late.resolve(undefined));
      const next = await Promise.race([pieces.next(), late.promise]).finally(() => timer.cancel());
      if (next === undefined) {
        throw new OrchdError("unreachable", "no more of the blob comes", { retryable: true });
      }
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // It ends when it comes on, or breaks: nobody waits for that.
    void pieces.return(undefined);
  }
}
