import { expect, test } from "bun:test";
import { formatBytes, formatDuration, nearest, plural } from "../../../src/lib/text.ts";

test("the nearest word is suggested only when it is near enough to be meant", () => {
  const words = ["replicas", "restart", "resources"];
  expect(nearest("replica", words)).toBe("replicas");
  expect(nearest("retsart", words)).toBe("restart");
  expect(nearest("prots", ["ports"])).toBe("ports");
  expect(nearest("volumes", words)).toBeUndefined();
  expect(nearest("x", [])).toBeUndefined();
});

test("of two words at the same distance the first is suggested", () => {
  expect(nearest("cat", ["car", "cap"])).toBe("car");
});

test("counts agree with their noun", () => {
  expect([plural(0, "task"), plural(1, "task"), plural(3, "task")]).toEqual([
    "0 tasks",
    "1 task",
    "3 tasks",
  ]);
});

test("bytes are told in the largest unit that they fill", () => {
  const told = [0, 1023, 1024, 1.5 * 2 ** 30, 2 ** 50, -2048].map(formatBytes);
  expect(told).toEqual(["0 B", "1023 B", "1 KiB", "1.5 GiB", "1 PiB", "-2 KiB"]);
});

test("durations are told in the unit in which people think of them", () => {
  const told = [-5, 850, 1000, 119_000, 180_000, 7_200_000, 4 * 86_400_000].map(formatDuration);
  expect(told).toEqual(["0 ms", "850 ms", "1 s", "119 s", "3 min", "2 h", "4 d"]);
});
