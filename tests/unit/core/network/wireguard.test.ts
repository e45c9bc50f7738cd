import { describe, expect, test } from "bun:test";
import { parsePeers, planPeers } from "../../../../src/core/network/wireguard.ts";

const NOW_S = 1_000_000;
const PEER = { key: "two", endpoint: "192.0.2.2:6771", allowed: "10.210.2.0/24", keepalive: 25 };
const WANTED = new Map([["two", PEER]]);

function found(over: object = {}) {
  const is = { endpoint: PEER.endpoint, allowed: PEER.allowed, keepalive: 25, handshakeAt: NOW_S };
  return [{ key: "two", ...is, ...over }];
}

describe("a node that WireGuard knows", () => {
  test("is read from what `wg show dump` prints", () => {
    const text =
      "secret\tone\t6771\toff\n" +
      "two\t(none)\t192.0.2.2:6771\t10.210.2.0/24\t1000000\t1\t2\t25\n" +
      "three\t(none)\t(none)\t10.210.3.0/24\t0\t0\t0\toff\n";
    expect(parsePeers(text)).toEqual([
      ...found(),
      { key: "three", endpoint: "(none)", allowed: "10.210.3.0/24", keepalive: 0, handshakeAt: 0 },
    ]);
  });

  test("is told with everything when it is new, and removed when it left", () => {
    expect(planPeers([], WANTED, new Map(), NOW_S).join(" ")).toBe(
      "peer two allowed-ips 10.210.2.0/24 persistent-keepalive 25 endpoint 192.0.2.2:6771",
    );
    expect(planPeers(found(), new Map(), WANTED, NOW_S)).toEqual(["peer", "two", "remove"]);
  });

  test("is left alone when nothing differs", () => {
    expect(planPeers(found(), WANTED, new Map(), NOW_S)).toEqual([]);
  });

  test("has two networks where tasks have IPv6 addresses, in any order", () => {
    const networks = ["10.210.2.0/24", "fd00::ad2:200/120"];
    const wanted = new Map([["two", { ...PEER, allowed: networks.join(",") }]]);
    expect(planPeers(found(), wanted, WANTED, NOW_S)).toContain(networks.join(","));
    const both = found({ allowed: networks.toReversed().join(",") });
    expect(planPeers(both, wanted, wanted, NOW_S)).toEqual([]);
  });

  test("stays where it was heard from, though its own address is another one", () => {
    const roamed = found({ endpoint: "198.51.100.7:40000" });
    expect(planPeers(roamed, WANTED, new Map(), NOW_S)).toEqual([]);
    expect(planPeers(roamed, WANTED, WANTED, NOW_S)).toEqual([]);
  });

  test("is looked for at its address when it moved, or was not heard of for long", () => {
    const before = new Map([["two", { ...PEER, endpoint: "192.0.2.9:6771" }]]);
    expect(planPeers(found(), WANTED, before, NOW_S)).toContain("endpoint");
    const silent = found({ endpoint: "198.51.100.7:40000", handshakeAt: NOW_S - 181 });
    expect(planPeers(silent, WANTED, new Map(), NOW_S)).toContain("endpoint");
  });
});
