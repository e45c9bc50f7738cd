import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Admission, ApiContext } from "./env.ts";
import { problemOf } from "./problem.ts";

const HEARTBEAT_MS = 15_000;
const BUFFER_BYTES = 64 * 1024;

/** Where a stream's values go. */
export interface LineSink {
  /**
   * Sends one value as a line; resolves when the reader has room for more. Once `signal` has
   * aborted it does nothing.
   */
  write(value: unknown): Promise<void>;
  /** Aborts when the reader has gone, and when the stream has ended. */
  readonly signal: AbortSignal;
}

export interface StreamDeps {
  clock: Clock;
  log: Log;
}

/**
 * Answers with one JSON value a line for as long as `produce` runs, and an empty line every 15 s so
 * that both ends notice a dead connection. A reader that does not read is waited for. A failure on
 * the way is told in a last line of the shape `{"error": …}`, since the status has been sent. So is
 * that the reader is not let in any more, which ends the stream.
 */
export function streamLines(
  c: ApiContext,
  deps: StreamDeps,
  produce: (sink: LineSink) => Promise<void>,
): Response {
  const body = lineStream(deps, produce, c.get("admission"));
  return c.body(body, 200, {
    "content-type": "application/x-ndjson",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
}

function lineStream(
  deps: StreamDeps,
  produce: (sink: LineSink) => Promise<void>,
  admission: Admission | undefined,
) {
  const encoder = new TextEncoder();
  const over = new AbortController();
  let room = Promise.withResolvers<void>();
  over.signal.addEventListener("abort", () => room.resolve());
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (line: string) => {
          if (!over.signal.aborted) controller.enqueue(encoder.encode(line));
        };
        const write = (value: unknown) => {
          send(`${JSON.stringify(value)}\n`);
          return over.signal.aborted || hasRoom(controller) ? Promise.resolve() : room.promise;
        };
        const stopHeartbeat = beat(deps.clock, () => hasRoom(controller) && send("\n"));
        const end = () => {
          stopHeartbeat();
          stopAdmission?.();
          if (over.signal.aborted) return;
          controller.close();
          // Whoever still writes, or waits for room, is let go.
          over.abort();
        };
        const stopAdmission = admission?.onEnd((why) => {
          void write(problemOf(why, deps.log).body);
          end();
        });
        void runProducer(deps.log, { write, signal: over.signal }, produce).finally(end);
      },
      pull() {
        room.resolve();
        room = Promise.withResolvers<void>();
      },
      cancel() {
        over.abort();
      },
    },
    { highWaterMark: BUFFER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  );
}

async function runProducer(
  log: Log,
  sink: LineSink,
  produce: (sink: LineSink) => Promise<void>,
): Promise<void> {
  try {
    await produce(sink);
  } catch (error) {
    // Whatever ended the stream early, its reader hears of it; one that has gone can't.
    if (!sink.signal.aborted) void sink.write(problemOf(error, log).body);
  }
}

function hasRoom(controller: ReadableStreamDefaultController<Uint8Array>): boolean {
  return (controller.desiredSize ?? 0) > 0;
}

/** Runs `onBeat` every 15 s until it is stopped. */
function beat(clock: Clock, onBeat: () => void): () => void {
  const next = () => {
    onBeat();
    timer = clock.after(HEARTBEAT_MS, next);
  };
  let timer = clock.after(HEARTBEAT_MS, next);
  return () => timer.cancel();
}
