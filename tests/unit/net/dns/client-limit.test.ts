import { describe, expect, test } from "bun:test";
import { ClientLimit } from "../../../../src/net/dns/client-limit.ts";

describe("what one client may ask", () => {
  test("so many questions a second, and others as many", () => {
    const limit = new ClientLimit({ perSecond: 2, waitingMax: 1 });
    const ask = (client: string, now: number) => limit.takes(client, now);
    expect([ask("a", 0), ask("a", 1), ask("a", 2), ask("b", 3)]).toEqual([true, true, false, true]);
    expect(ask("a", 1000)).toBe(true);
  });

  test("so many that wait for others at the same time", () => {
    const limit = new ClientLimit({ perSecond: 9, waitingMax: 2 });
    expect([1, 2, 3].map(() => limit.beginWait("a"))).toEqual([true, true, false]);
    expect(limit.beginWait("b")).toBe(true);
    limit.endWait("a");
    expect(limit.beginWait("a")).toBe(true);
  });
});
