import { encodeBlock, paddingOf, SIZE_MAX } from "./block.ts";
import { joined } from "./bytes.ts";
import { encodePax } from "./pax.ts";

/**
 * What stands before the content of a plain file of nobody in particular, in an archive that other
 * programs read. The same name and size are always the same bytes.
 * @param name at most 100 bytes
 */
export function headOfFile(name: string, size: number): Uint8Array {
  const plain = { name, mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, link: "" };
  if (size <= SIZE_MAX) return encodeBlock({ ...plain, type: "0", size });
  const records = encodePax(new Map([["size", String(size)]]));
  return joined([
    encodeBlock({ ...plain, type: "x", size: records.length }),
    records,
    new Uint8Array(paddingOf(records.length)),
    encodeBlock({ ...plain, type: "0", size: 0 }),
  ]);
}
