import type { VolumeFileCalls, VolumeRead } from "../../api/client-volume-files.ts";
import type { ByteStream } from "../../model/session.ts";
import { isInReach } from "../../tree/place.ts";
import { readTree } from "../../tree/read-tree.ts";

/**
 * The files of a volume as an archive, in pieces that are good until the next one is asked for. Who
 * is on their machine reads them there, which takes half as long as to have them sent.
 */
export async function* volumeArchive(
  files: VolumeFileCalls,
  asked: VolumeRead,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const place = await files.place(asked.name, asked.node);
  if (place === null || !isInReach(place)) {
    yield* files.read(asked, signal);
    return;
  }
  const hold = await files.hold(asked);
  const leave = () => hold.close();
  signal.addEventListener("abort", leave);
  const lasting = endOf(hold);
  const broken = new AbortController();
  lasting.catch(() => broken.abort());
  try {
    for await (const piece of readTree(place.path)) {
      if (broken.signal.aborted) break;
      yield piece;
    }
    hold.end();
    // Tasks that went on before all of it was read make it worthless.
    await lasting;
  } finally {
    signal.removeEventListener("abort", leave);
    hold.close();
  }
}

async function endOf({ input }: ByteStream): Promise<void> {
  for await (const _ of input);
}
