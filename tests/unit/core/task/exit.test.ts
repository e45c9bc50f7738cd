import { expect, test } from "bun:test";
import { formatExit } from "../../../../src/core/task/exit.ts";

test("an exit is told in words that people know", () => {
  expect([
    formatExit(1, false),
    formatExit(137, false),
    formatExit(137, true),
    formatExit(143, false),
    formatExit(255, false),
  ]).toEqual([
    "exited with code 1",
    "was killed by SIGKILL (code 137)",
    "ran out of memory and was killed (code 137)",
    "was killed by SIGTERM (code 143)",
    "exited with code 255",
  ]);
});
