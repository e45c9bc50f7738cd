import { expect, test } from "bun:test";
import { findStuck } from "../../../src/cli/follow/stuck.ts";
import type { RestartPolicy } from "../../../src/model/service.ts";
import { aTaskSummary } from "./samples.ts";

const policy: RestartPolicy = {
  condition: "any",
  delayMs: 1000,
  delayMaxMs: 300_000,
  resetAfterMs: 600_000,
  windowMs: 0,
};
const aFailure = (slot = "1") => aTaskSummary({ slot, state: "failed", message: "exit code 1" });
const failed = aFailure();

test("one slot that failed three times in a row is stuck, and says why", () => {
  expect(findStuck([{ ...failed, failures: 2 }])).toBe(
    "shop/web.1 failed 3 times in a row: exit code 1",
  );
});

test("the fourth attempt of such a slot is told with what the third one said", () => {
  const third = { ...failed, failures: 2, createdAt: 1 };
  const fourth = aTaskSummary({ state: "starting", failures: 3, createdAt: 2 });
  expect(findStuck([third, fourth])).toBe("shop/web.1 failed 3 times in a row: exit code 1");
});

test("three slots that failed once each are not stuck: they will be tried again", () => {
  const slots = ["1", "2", "3"].map(aFailure);
  expect(findStuck(slots, policy)).toBeUndefined();
});

test("a slot whose policy allows no restart is stuck at its first failure", () => {
  expect(findStuck([failed], { ...policy, condition: "none" })).toContain("restart policy is none");
  const twice = { ...failed, failures: 1 };
  expect(findStuck([twice], { ...policy, maxAttempts: 1 })).toContain("used all 1 restart");
  expect(findStuck([failed], { ...policy, maxAttempts: 1 })).toBeUndefined();
});
