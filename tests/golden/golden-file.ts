import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "bun:test";

/** Rewrites the files from what is computed now; look at the difference before you keep it. */
const isUpdating = process.env["UPDATE_GOLDEN"] === "1";

/** Compares with what is kept in the file; a missing file is a failure like any other. */
export function expectGolden(path: string, actual: string): void {
  if (isUpdating) writeFileSync(path, actual);
  const kept = existsSync(path) ? readFileSync(path, "utf8") : "";
  expect(actual).toBe(kept);
}
