import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { ByteStream } from "../model/session.ts";
import type { VolumeReading } from "../model/volume.ts";

/**
 * That a volume's tasks stand still, as a stream without bytes: the one who reads the files ends
 * it, and hears of its end when the tasks go on. One that breaks means that they may have gone on
 * before.
 */
export function holdStream(reading: VolumeReading, log: Log): ByteStream {
  const over = Promise.withResolvers<void>();
  const end = () => void reading.close().then(over.resolve, over.reject);
  over.promise.catch((error: unknown) => {
    log.warn(`tasks that stood still for a backup: ${messageChainOf(error)}`);
  });
  const input = new ReadableStream<Uint8Array>({
    async start(controller) {
      await over.promise;
      controller.close();
    },
  });
  return { input, write: async () => {}, end, close: end };
}
