import { ArchiveWriter } from "../../core/archive/archive-writer.ts";
import { BLOCK_BYTES } from "../../core/archive/block.ts";
import { bytesOfEntry } from "../../core/archive/encode-entry.ts";
import type { ArchiveEntry } from "../../core/archive/entry.ts";
import { type ArchiveKind, TRAILER_BYTES } from "../../core/archive/seal.ts";

/** One file of an archive that has no directories. */
export interface Member {
  name: string;
  bytes: number;
  content(): AsyncIterable<Uint8Array>;
}

/** An archive of a few files, as it is written. */
export async function* writeFlatArchive(
  kind: ArchiveKind,
  members: readonly Member[],
  at: number,
): AsyncGenerator<Uint8Array> {
  const writer = new ArchiveWriter(kind, newHasher());
  yield writer.begin();
  for (const member of members) {
    yield writer.entry(entryOf(member, at));
    for await (const bytes of member.content()) yield writer.data(bytes);
    yield writer.padding(member.bytes);
  }
  yield writer.end({ changed: 0, skipped: 0 });
}

/** How large that archive is. */
export function flatArchiveBytes(members: readonly Pick<Member, "name" | "bytes">[]): number {
  const entries = members.map((member) => bytesOfEntry(entryOf(member, 0)));
  return entries.reduce((sum, bytes) => sum + bytes, 2 * BLOCK_BYTES + TRAILER_BYTES);
}

/** A member whose content is in memory. */
export function memberOf(name: string, content: Uint8Array): Member {
  return {
    name,
    bytes: content.length,
    async *content() {
      yield content;
    },
  };
}

/** SHA-256 in hexadecimal digits. */
export function newHasher() {
  const hasher = new Bun.CryptoHasher("sha256");
  return {
    update: (bytes: Uint8Array) => void hasher.update(bytes),
    digest: () => hasher.digest("hex"),
  };
}

function entryOf({ name, bytes }: Pick<Member, "name" | "bytes">, at: number): ArchiveEntry {
  return {
    kind: "file",
    path: name,
    mode: 0o600,
    uid: 0,
    gid: 0,
    // Whole seconds, so that its size does not depend on the time.
    mtimeUs: Math.floor(at / 1000) * 1_000_000,
    size: bytes,
    target: "",
    isSparse: false,
    attributes: [],
  };
}
