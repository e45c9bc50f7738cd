import { test } from "bun:test";

/** Registers a test that is skipped in the place of a suite and says why, and prints that. */
export function skipSuite(suite: string, reason: string): false {
  console.error(`\n*** SKIPPED: ${suite}: ${reason}.\n`);
  test.skip(`${suite} (skipped: ${reason})`, () => {});
  return false;
}
