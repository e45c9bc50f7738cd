import { IPV4, type Family } from "./family.ts";

/**
 * So many parts are the clients of a sticky service divided into. It is the same on every node and
 * however many tasks there are, so that a client means the same task everywhere.
 */
const PARTS = 256;
const PARTS_OF_MANY = 1024;
const MANY = 64;

/**
 * The target of a `dnat` statement: which of the targets gets a new connection. One that is drawn
 * at random, or for a sticky service the one that the client's address means: a target that comes
 * or goes then moves the clients of no other one (rendezvous hashing, Thaler and Ravishankar 1998),
 * and nothing has to be remembered of any client.
 * @param targets at least one, each an address or `10.210.1.2 . 80`; in an order of their own
 */
export function formatChoice(
  targets: readonly string[],
  isSticky: boolean,
  family: Family = IPV4,
): string {
  const [only = ""] = targets;
  if (targets.length === 1) return formatOnly(only);
  if (!isSticky) return `numgen random mod ${targets.length} map ${formatMap(targets)}`;
  const parts = targets.length > MANY ? PARTS_OF_MANY : PARTS;
  const chosen = chooseForParts(targets, parts);
  // The kernel would draw a seed of its own for each rule.
  return `jhash ${family.name} saddr mod ${parts} seed 0x6f726368 map ${formatMap(chosen)}`;
}

/** Without a map the port is behind a colon. */
function formatOnly(target: string): string {
  const [address = "", port] = target.split(" . ");
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function formatMap(values: readonly string[]): string {
  return `{ ${values.map((value, i) => `${i} : ${value}`).join(", ")} }`;
}

/** For each part the target with the highest weight there. */
function chooseForParts(targets: readonly string[], parts: number): string[] {
  const hashed = targets.map((target) => ({ target, hash: hashOf(target) }));
  return Array.from({ length: parts }, (_, part) => {
    let best = { target: "", weight: -1 };
    for (const { target, hash } of hashed) {
      const weight = mix(hash ^ mix(part + 1));
      if (weight > best.weight) best = { target, weight };
    }
    return best.target;
  });
}

/** FNV-1a (draft-eastlake-fnv). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The last steps of MurmurHash3, which spread a number evenly over 32 bits. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
