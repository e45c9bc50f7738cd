import { BASE32_ALPHABET } from "../lib/base32.ts";
import type { Parsed } from "../lib/parsed.ts";
import { randomBelow, type Random } from "../lib/random.ts";
import { DIGEST_LENGTH } from "./digest.ts";
import { parseServerAddress } from "./server-address.ts";

/** 160 bits. */
const SECRET_LENGTH = 32;
const PREFIX = "ORCHD-1-";
const TOKEN_LENGTH = PREFIX.length + DIGEST_LENGTH + 1 + SECRET_LENGTH;

/** What a token says: which cluster, and the secret that opens it. */
export interface TokenText {
  /** SHA-256 of the CA's certificate (DER), in base 32. */
  caDigest: string;
  secret: string;
}

export function newSecret(random: Random): string {
  let secret = "";
  while (secret.length < SECRET_LENGTH) secret += BASE32_ALPHABET[randomBelow(random, 32)] ?? "";
  return secret;
}

/** `ORCHD-1-<digest of the CA>-<secret>`. */
export function formatToken({ caDigest, secret }: TokenText): string {
  return `${PREFIX}${caDigest}-${secret}`;
}

/**
 * Reads a token as people give it: spaces and line breaks, as a mail or a terminal puts them in,
 * don't count, nor does case, nor `o` for `0` and `i` or `l` for `1`. The text is never repeated.
 */
export function parseToken(text: string): Parsed<TokenText> {
  const plain = text.replace(/\s+/g, "").toLowerCase();
  const prefix = PREFIX.toLowerCase();
  if (plain === "") return problem("the token is empty: copy all of it");
  if (!plain.startsWith(prefix)) return problem(whyNoToken(plain, prefix));
  const body = plain.slice(prefix.length).replaceAll("o", "0").replace(/[il]/g, "1");
  if (/[^0-9a-hjkmnp-tv-z-]/.test(body)) {
    return problem("the token has a character that no token has: copy it again");
  }
  if (plain.length < TOKEN_LENGTH) return problem(cutOff(plain.length));
  if (plain.length > TOKEN_LENGTH) {
    const extra = `it has ${plain.length} characters and not ${TOKEN_LENGTH}`;
    return problem(`the token is too long: ${extra}, copy it again`);
  }
  const [caDigest = "", secret = "", ...more] = body.split("-");
  if (caDigest.length !== DIGEST_LENGTH || secret.length !== SECRET_LENGTH || more.length > 0) {
    return problem("the token is damaged: copy it again");
  }
  return { ok: true, value: { caDigest, secret } };
}

function whyNoToken(plain: string, prefix: string): string {
  if (prefix.startsWith(plain)) return cutOff(plain.length);
  if (/^orchd-\d+-/.test(plain)) {
    return "the token is one of another version of orchd: install the version of its server";
  }
  return `this is no token of orchd: one begins with ${PREFIX}`;
}

function cutOff(length: number): string {
  return `the token is cut off: it has ${length} of ${TOKEN_LENGTH} characters, copy all of it`;
}

function problem<Value>(text: string): Parsed<Value> {
  return { ok: false, problem: text };
}

/** What `orchd join` is given: a token, and where servers may be. */
export interface JoinTarget {
  token: TokenText;
  /** `host:port`; none means that they are looked for. */
  servers: string[];
}

/** Reads `TOKEN@HOST:PORT`, with several addresses between commas, or with none. */
export function parseJoinTarget(text: string): Parsed<JoinTarget> {
  const at = text.indexOf("@");
  const token = parseToken(at < 0 ? text : text.slice(0, at));
  if (!token.ok) return token;
  const servers: string[] = [];
  for (const part of at < 0 ? [] : text.slice(at + 1).split(",")) {
    const address = parseServerAddress(part);
    if (!address.ok) return address;
    servers.push(address.value);
  }
  return { ok: true, value: { token: token.value, servers } };
}
