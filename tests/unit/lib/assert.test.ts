import { expect, test } from "bun:test";
import { assert, assertNever } from "../../../src/lib/assert.ts";

test("a broken assertion says what should have been", () => {
  expect(() => assert(false, "the task has a service")).toThrow(
    "assertion failed: the task has a service",
  );
  expect(() => assert(1, "one is something")).not.toThrow();
});

test("the end of a closed choice names the value that got there", () => {
  expect(() => assertNever({ type: "unknown" } as never)).toThrow('{"type":"unknown"}');
});
