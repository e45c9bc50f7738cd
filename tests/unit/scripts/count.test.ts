import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { add, formatCount, NOTHING, readJunit } from "../../../scripts/test/count.ts";

describe("counting tests", () => {
  const dir = mkdtempSync(join(tmpdir(), "orchd-count-"));
  afterAll(() => rmSync(dir, { recursive: true }));

  function junit(attributes: string): string {
    const path = join(dir, "junit.xml");
    writeFileSync(
      path,
      `<?xml version="1.0"?>\n<testsuites name="x" ${attributes}>\n</testsuites>`,
    );
    return path;
  }

  test("passed are those that neither failed nor were skipped", () => {
    const path = junit('tests="10" assertions="30" failures="2" skipped="3" time="0.1"');
    expect(readJunit(path, 1)).toEqual({ passed: 5, failed: 2, skipped: 3 });
  });

  test("a run that ended badly though no test failed counts as one failure", () => {
    const path = junit('tests="4" failures="0" skipped="0"');
    expect(readJunit(path, 1)).toEqual({ passed: 4, failed: 1, skipped: 0 });
    expect(readJunit(path, 0)).toEqual({ passed: 4, failed: 0, skipped: 0 });
  });

  test("a run that left no file counts as one failure", () => {
    expect(readJunit(join(dir, "none.xml"), 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  test("the last line names skipped tests only where there are some", () => {
    const some = add({ passed: 3, failed: 1, skipped: 0 }, { ...NOTHING, passed: 2 });
    expect(formatCount(some)).toBe("5 passed, 1 failed");
    expect(formatCount(add(some, { ...NOTHING, skipped: 7 }))).toBe(
      "5 passed, 1 failed, 7 skipped",
    );
  });
});
