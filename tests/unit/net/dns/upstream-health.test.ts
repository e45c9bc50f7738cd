import { describe, expect, test } from "bun:test";
import { UpstreamHealth } from "../../../../src/net/dns/upstream-health.ts";

const one = { host: "192.0.2.1", port: 53 };
const two = { host: "192.0.2.2", port: 53 };
const hosts = (health: UpstreamHealth, now: number) =>
  health.order([one, two], now)?.upstreams.map(({ host }) => host);

describe("which name servers are asked", () => {
  test("all of them, in their order, for as long as they answer", () => {
    expect(hosts(new UpstreamHealth(), 0)).toEqual(["192.0.2.1", "192.0.2.2"]);
  });

  test("one that did not answer is left out for some seconds, and then for longer", () => {
    const health = new UpstreamHealth();
    health.noteSilence(one, 0, 1000);
    expect(hosts(health, 5999)).toEqual(["192.0.2.2"]);
    expect(hosts(health, 6000)).toEqual(["192.0.2.1", "192.0.2.2"]);
    health.noteSilence(one, 6000, 7000);
    expect(hosts(health, 16_999)).toEqual(["192.0.2.2"]);
    health.noteAnswer(one, 17_000);
    expect(hosts(health, 17_000)).toEqual(["192.0.2.1", "192.0.2.2"]);
  });

  test("one that answered others meanwhile is only slow with this", () => {
    const health = new UpstreamHealth();
    health.noteAnswer(one, 500);
    health.noteSilence(one, 0, 1000);
    expect(hosts(health, 1000)).toEqual(["192.0.2.1", "192.0.2.2"]);
  });

  test("where none answers one query a second finds out, and the others don't wait", () => {
    const health = new UpstreamHealth();
    health.noteSilence(one, 0, 1000);
    health.noteSilence(two, 0, 1000);
    expect(health.order([one, two], 1500)).toBeUndefined();
    expect(health.order([one, two], 2000)).toEqual({ upstreams: [one], isProbe: true });
    expect(health.order([one, two], 2000)).toEqual({ upstreams: [two], isProbe: true });
    expect(health.order([one, two], 2000)).toBeUndefined();
    health.noteAnswer(two, 2100);
    expect(hosts(health, 2100)).toEqual(["192.0.2.2"]);
  });

  test("where there is none at all nobody is asked", () => {
    expect(new UpstreamHealth().order([], 0)).toBeUndefined();
  });
});
