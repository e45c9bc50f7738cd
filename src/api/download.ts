import type { ApiContext } from "./env.ts";

/**
 * Answers with bytes for as long as the caller is let in, no faster than they are read. What goes
 * wrong on the way breaks the connection off: its reader misses the end of the archive.
 */
export function downloadOf(c: ApiContext, stream: ReadableStream<Uint8Array>): Response {
  const admission = c.get("admission");
  const reader = stream.getReader();
  let stop = () => {};
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        stop =
          admission?.onEnd((why) => {
            void reader.cancel().catch(() => {});
            controller.error(why);
          }) ?? stop;
      },
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        stop();
      },
      async cancel() {
        stop();
        await reader.cancel();
      },
    },
    { highWaterMark: 0 },
  );
  return c.body(body, 200, {
    "content-type": "application/octet-stream",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
}
