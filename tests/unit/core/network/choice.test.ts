import { describe, expect, test } from "bun:test";
import { ipv6Of } from "../../../../src/core/network/family.ts";
import { formatChoice } from "../../../../src/core/network/choice.ts";

/** Which target each part of the clients means. */
function chosen(targets: readonly string[]): string[] {
  const text = formatChoice(targets, true);
  const [, entries = ""] = /\{ (.*) \}$/.exec(text) ?? [];
  return entries.split(", ").map((entry) => entry.split(" : ")[1] ?? "");
}

const FOUR = ["10.210.1.2", "10.210.1.3", "10.210.2.2", "10.210.3.2"];

describe("the choice among tasks", () => {
  test("is none when there is one", () => {
    expect(formatChoice(["10.210.1.2"], false)).toBe("10.210.1.2");
    expect(formatChoice(["10.210.1.2 . 80"], true)).toBe("10.210.1.2:80");
  });

  test("has the port behind brackets where the address has colons", () => {
    expect(formatChoice(["fd00::1 . 80"], false, ipv6Of("fd00::/96"))).toBe("[fd00::1]:80");
    expect(formatChoice(["fd00::1"], false, ipv6Of("fd00::/96"))).toBe("fd00::1");
  });

  test("is drawn anew for each connection", () => {
    expect(formatChoice(["10.210.1.2 . 80", "10.210.2.2 . 80"], false)).toBe(
      "numgen random mod 2 map { 0 : 10.210.1.2 . 80, 1 : 10.210.2.2 . 80 }",
    );
  });

  test("follows from a sticky client's address, and is about even", () => {
    const parts = chosen(FOUR);
    expect(parts).toHaveLength(256);
    for (const target of FOUR) {
      const share = parts.filter((one) => one === target).length;
      expect(share).toBeGreaterThan(40);
      expect(share).toBeLessThan(90);
    }
  });

  test("moves no other clients when a task goes", () => {
    const before = chosen(FOUR);
    const after = chosen(FOUR.slice(1));
    before.forEach((target, part) => {
      if (target !== FOUR[0]) expect(after[part]).toBe(target);
    });
  });
});
