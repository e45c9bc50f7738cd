import type { Hasher } from "../core/archive/archive-reader.ts";

export function newSha256(): Hasher {
  const hasher = new Bun.CryptoHasher("sha256");
  return {
    update: (bytes) => void hasher.update(bytes),
    digest: () => hasher.digest("hex"),
  };
}
