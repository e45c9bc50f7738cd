import { test } from "bun:test";

/** Registers a test that is skipped in the place of a suite and says why, and prints that. */
export function skipSuite(suite: string, reason: string): false {
  console.error(`\n*** SKIPPED: ${suite}: ${reason}.\n`);
  registerSkipped(suite, reason);
  return false;
}

/** Registers a test that is skipped, with the reason in its title. */
export function registerSkipped(title: string, reason: string): void {
  // Skipped, as this machine or driver can't do it: a pass would claim what nobody saw, and a
  // failure would blame orchd.
  test.skip(`${title} (skipped: ${reason})`, () => {});
}
