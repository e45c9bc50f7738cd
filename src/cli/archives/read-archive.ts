import { usageError } from "../context.ts";
import type { Io } from "../io.ts";
import type { ByteProgress } from "./byte-progress.ts";

export function archiveFromStdin(io: Io): ReadableStream<Uint8Array> {
  if (!io.stdin.isTerminal) return io.stdin.read();
  throw usageError("standard input is a terminal: pipe an archive into it, or name a file");
}

/** The same stream; how much of it was taken is shown. */
export function watched(
  source: ReadableStream<Uint8Array>,
  progress: ByteProgress,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        await progress.add(value.length);
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
