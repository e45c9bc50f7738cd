import { z } from "zod";

/** Characters of a SHA-256 in base 32. */
export const DIGEST_LENGTH = 52;

/** A SHA-256 in base 32. */
export const digestSchema = z.string().regex(/^[0-9a-hjkmnp-tv-z]{52}$/, "is not a digest");

/** Of a blob, as images name it: `sha256:…`. */
export const blobDigestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, "is no digest");
