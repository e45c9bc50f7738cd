import * as fs from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_BYTES, encodeBlock, paddingOf, SIZE_MAX } from "../../core/archive/block.ts";
import { OrchdError } from "../../lib/errors.ts";

const FILES_MAX = 20_000;

/**
 * The files of an OCI image layout as one archive, read as it is taken. Links are left out: a
 * layout has none.
 * @throws OrchdError `invalid` when there are too many files, or one is too large for a plain tar
 */
export function packFolder(path: string): ReadableStream<Uint8Array> {
  const pieces = packed(path);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => void (await pieces.return(undefined)),
    },
    { highWaterMark: 0 },
  );
}

async function* packed(path: string): AsyncGenerator<Uint8Array> {
  const names = await fs.readdir(path, { recursive: true });
  if (names.length > FILES_MAX) {
    throw new OrchdError("invalid", `${path} has more files than any image: is it an OCI layout?`);
  }
  for (const name of names.sort()) {
    const found = await fs.lstat(join(path, name));
    if (!found.isFile()) continue;
    const { size } = found;
    if (size > SIZE_MAX) throw new OrchdError("invalid", `${name} is too large`);
    const plain = { type: "0", mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, link: "" };
    yield encodeBlock({ ...plain, name, size });
    let bytes = 0;
    // What is written to it meanwhile is not a part of it.
    for await (const piece of Bun.file(join(path, name)).slice(0, size).stream()) {
      bytes += piece.length;
      yield piece;
    }
    if (bytes !== size) throw new OrchdError("invalid", `${name} was cut while it was read`);
    yield new Uint8Array(paddingOf(size));
  }
  yield new Uint8Array(2 * BLOCK_BYTES);
}
