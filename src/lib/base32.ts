/** Crockford's base 32 in lower case: no letter that is taken for a digit. */
export const BASE32_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** Five bits a character, the first bit first; a rest is filled up with zeros. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += characterOf(held >> (bits - 5));
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + characterOf(held << (5 - bits));
}

function characterOf(value: number): string {
  return BASE32_ALPHABET[value & 31] ?? "";
}
