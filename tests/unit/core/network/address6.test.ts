import { describe, expect, test } from "bun:test";
import {
  address4Of,
  address6Of,
  newRange6,
  rangesOf,
  subnet6Of,
} from "../../../../src/core/network/address6.ts";

const RANGE = "fd11:2222:3333::/96";

describe("an IPv6 address of the cluster", () => {
  test("has that of IPv4 at its end", () => {
    expect(address6Of(RANGE, "10.210.1.2")).toBe("fd11:2222:3333::ad2:102");
    expect(address6Of(RANGE, "10.0.0.0")).toBe("fd11:2222:3333::a00:0");
    expect(address6Of("fd00::/96", "10.210.1.2")).toBe("fd00::ad2:102");
  });

  test("is written as the kernel's tools write it", () => {
    for (const address of ["10.210.1.2", "0.1.0.2", "192.168.0.1"]) {
      const text = address6Of("fd00:0:1::/96", address);
      expect(new URL(`http://[${text}]`).hostname).toBe(`[${text}]`);
    }
  });

  test("leads back to that of IPv4, and one of others to none", () => {
    expect(address4Of(RANGE, "fd11:2222:3333::ad2:102")).toBe("10.210.1.2");
    for (const other of ["fd11:2222:3334::ad2:102", "fd11:2222:3333:0:0:1:ad2:102", "10.210.1.2"]) {
      expect(address4Of(RANGE, other)).toBeUndefined();
    }
    expect(address4Of(RANGE, "web")).toBeUndefined();
  });
});

test("a network has as many addresses as that of IPv4", () => {
  expect(subnet6Of(RANGE, "10.210.1.0/24")).toBe("fd11:2222:3333::ad2:100/120");
  expect(subnet6Of(RANGE, "10.210.240.0/20")).toBe("fd11:2222:3333::ad2:f000/116");
});

test("a cluster's addresses are one network, or one of each kind", () => {
  expect(rangesOf({ range: "10.210.0.0/16" })).toEqual(["10.210.0.0/16"]);
  const both = ["10.210.0.0/16", "fd11:2222:3333::ad2:0/112"];
  expect(rangesOf({ range: "10.210.0.0/16", range6: RANGE })).toEqual(both);
});

test("a new cluster's network is one that nobody else has", () => {
  expect(newRange6(Uint8Array.of(0x11, 0x22, 0x22, 0x33, 0x33))).toBe(RANGE);
  expect(newRange6(new Uint8Array(5))).toBe("fd00::/96");
});
