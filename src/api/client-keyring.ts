import { gossipKeySchema } from "../model/cluster.ts";
import { fingerprintSchema } from "../model/keyring.ts";
import { fingerprintOfKey } from "../pki/digest.ts";

/** The fingerprint that a person means by it, or by the key itself in base 64. */
export function fingerprintFromWord(word: string): string | undefined {
  if (fingerprintSchema.safeParse(word).success) return word;
  return gossipKeySchema.safeParse(word).success ? fingerprintOfKey(word) : undefined;
}
