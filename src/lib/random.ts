/** A source of random numbers; the core gets one as an argument and never makes its own. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An independent source for one purpose, so that a draw for one thing never shifts another's. */
  split(key: string): Random;
}

/** A seeded source: one seed, always the same numbers (xoshiro128**, Blackman and Vigna 2018). */
export function seededRandom(seed: string): Random {
  const state = seedState(seed);
  return {
    next: () => nextUint32(state) / 0x1_0000_0000,
    split: (key) => seededRandom(`${seed}/${key}`),
  };
}

/** The host's cryptographic source, for ids and tokens in production. */
export const systemRandom: Random = {
  next: () => {
    const word = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    return word / 0x1_0000_0000;
  },
  split: () => systemRandom,
};

/** A whole number in [0, limit). */
export function randomBelow(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}

/** 32 bits of a text (FNV-1a), to mix with others. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash;
}

/** 32 bits of two numbers in which each bit of both has its part (splitmix32), below 2^32. */
export function mix32(a: number, b: number): number {
  let z = (a ^ Math.imul(b, 0x9e3779b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

type State = [number, number, number, number];

/** Spreads a text over the four words of state (FNV-1a, then splitmix32 once a word). */
function seedState(seed: string): State {
  let hash = hashText(seed);
  const word = () => {
    hash = (hash + 0x9e3779b9) | 0;
    return mix32(hash, 0);
  };
  return [word(), word(), word(), word()];
}

function nextUint32(s: State): number {
  const result = Math.imul(rotl(Math.imul(s[1], 5), 7), 9) >>> 0;
  const t = s[1] << 9;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 11);
  return result;
}

function rotl(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}
