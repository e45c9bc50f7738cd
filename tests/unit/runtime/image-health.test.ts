import { describe, expect, test } from "bun:test";
import { parseImageHealth } from "../../../src/runtime/podman/image-health.ts";

describe("what an image says of its health", () => {
  test("is a command with its times in milliseconds", () => {
    expect(
      parseImageHealth({ Test: ["CMD", "a", "b"], Interval: 5e9, StartInterval: 1.5e9 }),
    ).toEqual({
      disabled: false,
      check: { type: "exec", command: ["a", "b"] },
      intervalMs: 5000,
      startIntervalMs: 1500,
    });
    expect(parseImageHealth({ Test: ["CMD-SHELL", "a b"] })?.check).toEqual({
      type: "exec",
      command: ["/bin/sh", "-c", "a b"],
    });
  });

  test("is nothing where it has none, or switches it off", () => {
    for (const Test of [undefined, null, [], ["NONE"], ["CMD"], ["SOMETHING", "else"]]) {
      expect(parseImageHealth({ Test })).toBeUndefined();
    }
  });

  test("loses times that make no sense, and keeps its command", () => {
    for (const wrong of [{ Interval: 1 }, { Timeout: 1e30 }, { Retries: 1e9 }, { Interval: -1 }]) {
      expect(parseImageHealth({ Test: ["CMD", "a"], ...wrong })).toEqual({
        disabled: false,
        check: { type: "exec", command: ["a"] },
      });
    }
  });
});
