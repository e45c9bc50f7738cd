import type { Clock } from "../lib/clock.ts";
import { equalJson } from "../lib/order.ts";
import type { Progress } from "../model/summary.ts";
import type { Store } from "../store/store.ts";
import { Pulse, sleep } from "./pulse.ts";
import type { LineSink } from "./stream.ts";

/** At most 20 messages a second, however fast tasks change. */
const PAUSE_MS = 50;

/** Sends what `read` answers now and whenever it differs, until it says `removed`. */
export function sendProgress(
  deps: { store: Store; clock: Clock },
  sink: LineSink,
  read: () => Progress,
): Promise<void> {
  return sendChanges(deps, sink, read, ({ removed }) => removed);
}

/** Sends what `read` answers now and whenever it differs, until it is the last. */
export async function sendChanges<T>(
  deps: { store: Store; clock: Clock },
  sink: LineSink,
  read: () => T,
  isLast: (value: T) => boolean,
): Promise<void> {
  const pulse = new Pulse(sink.signal);
  const stop = deps.store.watch(() => pulse.beat());
  try {
    let last: T | undefined;
    while (!sink.signal.aborted) {
      const progress = read();
      if (!equalJson(last, progress)) {
        await sink.write(progress);
        if (isLast(progress)) return;
        last = progress;
        await sleep(deps.clock, PAUSE_MS, sink.signal);
      }
      await pulse.next();
    }
  } finally {
    stop();
  }
}
