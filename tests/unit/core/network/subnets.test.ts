import { describe, expect, test } from "bun:test";
import {
  freeSubnet,
  freeVirtualIp,
  isVirtual,
  parseRange,
  serverSubnet,
  virtualRange,
} from "../../../../src/core/network/subnets.ts";
import { aNode } from "../../../builders.ts";

const RANGE = "10.210.0.0/16";
const nodeWith = (third: number) => aNode(`n${third}`, { subnet: `10.210.${third}.0/24` });

describe("the networks of nodes", () => {
  test("are the lowest that no node has, that of the server's machine left out", () => {
    expect(serverSubnet(RANGE)).toBe("10.210.1.0/24");
    expect(freeSubnet(RANGE, [])).toBe("10.210.2.0/24");
    expect(freeSubnet(RANGE, [aNode("no-network")])).toBe("10.210.2.0/24");
    expect(freeSubnet(RANGE, [nodeWith(2), nodeWith(4)])).toBe("10.210.3.0/24");
  });

  test("end where the virtual addresses begin: there are 238 beside the server's", () => {
    const all = Array.from({ length: 238 }, (_, i) => nodeWith(i + 2));
    expect(freeSubnet(RANGE, all.slice(0, -1))).toBe("10.210.239.0/24");
    expect(freeSubnet(RANGE, all)).toBeUndefined();
  });

  test("follow from the range, whatever it is", () => {
    expect(serverSubnet("172.30.0.0/20")).toBe("172.30.1.0/24");
    expect(virtualRange("172.30.0.0/20")).toBe("172.30.15.0/24");
    const all = Array.from({ length: 13 }, (_, i) => {
      return aNode(`n${i}`, { subnet: `172.30.${i + 2}.0/24` });
    });
    expect(freeSubnet("172.30.0.0/20", all.slice(0, -1))).toBe("172.30.14.0/24");
    expect(freeSubnet("172.30.0.0/20", all)).toBeUndefined();
    expect(virtualRange("10.0.0.0/8")).toBe("10.240.0.0/12");
  });
});

describe("virtual addresses", () => {
  test("are from the top sixteenth of the range, and each is given once", () => {
    expect(virtualRange(RANGE)).toBe("10.210.240.0/20");
    const taken = new Set<string>();
    for (let i = 0; i < 4094; i++) {
      const address = freeVirtualIp(RANGE, taken, `service${i}`) ?? "";
      expect(isVirtual(RANGE, address)).toBe(true);
      taken.add(address);
    }
    expect(taken.size).toBe(4094);
    expect(taken.has("10.210.240.0") || taken.has("10.210.255.255")).toBe(false);
    expect(freeVirtualIp(RANGE, taken, "one-more")).toBeUndefined();
  });

  test("are other ones for other services, also where nothing is taken", () => {
    const [a, b] = ["a", "b"].map((seed) => freeVirtualIp(RANGE, new Set(), seed));
    expect(a).not.toBe(b);
    expect(freeVirtualIp(RANGE, new Set(), "a")).toBe(a);
    expect(isVirtual(RANGE, "10.210.2.1")).toBe(false);
  });
});

describe("a cluster's range", () => {
  test("is a network of 8 to 20 bits", () => {
    for (const text of ["10.210.0.0/16", "10.0.0.0/8", "172.30.16.0/20", "100.64.0.0/10"]) {
      expect(parseRange(text)?.prefix).toBe(Number(text.split("/")[1]));
    }
    const wrong = ["10.210.0.0/21", "10.0.0.0/7", "10.210.0.1/16", "fd00::/16", "", "10.210.0.0"];
    for (const text of wrong) expect(parseRange(text)).toBeUndefined();
  });

  test("is none that means something else everywhere", () => {
    const wrong = ["0.0.0.0/8", "127.0.0.0/16", "169.254.0.0/16", "224.0.0.0/8", "240.0.0.0/16"];
    for (const text of wrong) expect(parseRange(text)).toBeUndefined();
    expect(parseRange("169.0.0.0/8")).toBeUndefined();
  });
});
