import type { Random } from "../lib/random.ts";

const FIRST_MIN_MS = 100;
const FIRST_MAX_MS = 500;
/** While a server may be back any moment: all agents are back within this, evenly spread. */
const SHORT_OUTAGE_MS = 4000;
/** After so many tries, about five minutes, there is no hurry. */
const SHORT_OUTAGE_TRIES = 150;
const LONG_OUTAGE_MS = 15_000;

/**
 * How long to wait before the next try, in milliseconds: full jitter over a bound that doubles, so
 * that agents which lost their server in one moment do not come back in one moment.
 * @param tries failed tries so far, at least one
 */
export function backoffMs(tries: number, random: Random): number {
  if (tries <= 1) return FIRST_MIN_MS + random.next() * (FIRST_MAX_MS - FIRST_MIN_MS);
  const most = tries <= SHORT_OUTAGE_TRIES ? SHORT_OUTAGE_MS : LONG_OUTAGE_MS;
  return random.next() * Math.min(most, FIRST_MAX_MS * 2 ** Math.min(tries - 1, 10));
}
