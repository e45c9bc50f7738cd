import { expect } from "bun:test";
import type { Output } from "../../scripts/lab/lab.ts";

/** What a refusal must be: not done, and told in one sentence, without a stack trace. */
export function expectRefusal(output: Output, told: RegExp, code = 1): void {
  expect(output.stderr).toMatch(told);
  expect(output.code).toBe(code);
  expect(output.stderr).not.toMatch(/^\s+at .*:\d+/m);
}
