import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../project.ts";

export interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

export const NOTHING: Count = { passed: 0, failed: 0, skipped: 0 };

export function add(a: Count, b: Count): Count {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

/**
 * What a JUnit file counts. A run that ended badly without a failed test, or without a file, has
 * failed as a whole and counts as one failure.
 */
export function readJunit(path: string, exitCode: number): Count {
  const head = existsSync(path) ? /<testsuites[^>]*>/.exec(readFileSync(path, "utf8"))?.[0] : "";
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head ?? "")?.[1]);
  const [tests, failed, skipped] = [number("tests"), number("failures"), number("skipped")];
  if (Number.isNaN(tests + failed + skipped)) return { ...NOTHING, failed: 1 };
  const crashed = exitCode !== 0 && failed === 0 ? 1 : 0;
  return { passed: tests - failed - skipped, failed: failed + crashed, skipped };
}

/** The tests that are written down in a file, for those that can't run here. */
export function countTests(file: string): number {
  const text = readFileSync(join(root, file), "utf8");
  return text.match(/^\s*test(\.each\(.*\))?\(/gm)?.length ?? 1;
}

/** The last line of a run, alone on its line. */
export function formatCount({ passed, failed, skipped }: Count): string {
  const counts = `${passed} passed, ${failed} failed`;
  return skipped === 0 ? counts : `${counts}, ${skipped} skipped`;
}
