import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/lib/random.ts";
import { chooseEndpoint, type Load } from "../../../../src/core/ingress/choose-endpoint.ts";
import { mayRetry } from "../../../../src/core/ingress/retry.ts";
import type { Endpoint } from "../../../../src/core/ingress/route-table.ts";

function anEndpoint(name: string): Endpoint {
  return { taskId: name, address: "10.210.1.2", port: 80, key: name };
}

interface Over {
  loads?: Record<string, Partial<Load>>;
  tried?: string[];
  wanted?: string;
}

/** How often each of the endpoints is chosen in a thousand draws. */
function draws(names: string, { loads = {}, tried = [], wanted }: Over = {}) {
  const random = seededRandom("endpoints");
  const counts: Record<string, number> = {};
  for (let i = 0; i < 1000; i++) {
    const chosen = chooseEndpoint({
      endpoints: names.split("").map(anEndpoint),
      loadOf: ({ key }) => ({ outstanding: 0, asideUntil: 0, ...loads[key] }),
      tried: new Set(tried),
      wanted,
      now: 100,
      random,
    });
    counts[chosen?.key ?? "none"] = (counts[chosen?.key ?? "none"] ?? 0) + 1;
  }
  return counts;
}

describe("the endpoint of a request", () => {
  test("is any of those that are as busy as one another", () => {
    const counts = draws("abcd");
    expect(Object.keys(counts).sort()).toEqual(["a", "b", "c", "d"]);
    for (const count of Object.values(counts)) expect(count).toBeWithin(150, 350);
  });

  test("is never the busiest of all", () => {
    expect(draws("abc", { loads: { b: { outstanding: 9 } } })).not.toHaveProperty("b");
    expect(draws("ab", { loads: { b: { outstanding: 1 } } })).toEqual({ a: 1000 });
  });

  test("is none that was set aside a moment ago, unless all were", () => {
    expect(draws("ab", { loads: { a: { asideUntil: 101 } } })).toEqual({ b: 1000 });
    expect(draws("ab", { loads: { a: { asideUntil: 100 } } })).toHaveProperty("a");
    const aside = { asideUntil: 101 };
    expect(draws("ab", { loads: { a: aside, b: aside } })).toHaveProperty("a");
    expect(draws("a", { loads: { a: aside } })).toEqual({ a: 1000 });
  });

  test("is none that was tried, and none at all when each was", () => {
    expect(draws("ab", { tried: ["a"] })).toEqual({ b: 1000 });
    expect(draws("ab", { tried: ["a", "b"] })).toEqual({ none: 1000 });
    expect(draws("a", { tried: ["a"] })).toEqual({ none: 1000 });
    expect(draws("")).toEqual({ none: 1000 });
  });

  test("is the one that the client was at before, while it takes connections", () => {
    expect(draws("abc", { wanted: "c" })).toEqual({ c: 1000 });
    expect(draws("abc", { wanted: "c", tried: ["c"] })).not.toHaveProperty("c");
    expect(draws("abc", { wanted: "c", loads: { c: { asideUntil: 101 } } })).not.toHaveProperty(
      "c",
    );
    expect(Object.keys(draws("abc", { wanted: "gone" }))).toHaveLength(3);
  });
});

describe("a request that failed", () => {
  const failed = { method: "GET", hasBody: false, wasSent: true, hasAnswer: false, retries: 0 };

  test.each([
    ["of an idempotent method", {}, true],
    ["of DELETE", { method: "DELETE" }, true],
    ["of POST", { method: "POST" }, false],
    ["of PUT with a body", { method: "PUT", hasBody: true }, false],
    ["of POST that was never sent", { method: "POST", hasBody: true, wasSent: false }, true],
    ["with some of its answer", { hasAnswer: true }, false],
    ["the third time", { retries: 2 }, false],
  ])("%s: another endpoint is tried: %p %p", (_title, over, expected) => {
    expect(mayRetry({ ...failed, ...over })).toBe(expected);
  });
});
