import { BASE32_ALPHABET } from "./base32.ts";
import { randomBelow, type Random } from "./random.ts";

declare const brand: unique symbol;
/** A string that only the functions of its own noun hand out. */
export type Brand<Name extends string> = string & { readonly [brand]: Name };

const ID_LENGTH = 12;

/** Twelve characters of Crockford's base 32 (60 bits), a letter first: it can be a host name. */
export function newId<Name extends string>(random: Random): Brand<Name> {
  let id = BASE32_ALPHABET[10 + randomBelow(random, 22)] ?? "a";
  while (id.length < ID_LENGTH) id += BASE32_ALPHABET[randomBelow(random, 32)] ?? "0";
  return id as Brand<Name>;
}

/** What an id may look like when it comes from outside. */
export const ID_PATTERN = /^[a-z][0-9a-z]{11}$/;
