import { describe, expect, test } from "bun:test";
import {
  freeAddress,
  gatewayOf,
  parseSubnet,
  type Subnet,
} from "../../../../src/core/network/address.ts";

function subnet(text: string): Subnet {
  const parsed = parseSubnet(text);
  if (parsed === undefined) throw new Error(`${text} is a subnet`);
  return parsed;
}

describe("a node's network", () => {
  test("is read with its host part cleared", () => {
    expect(gatewayOf(subnet("10.210.1.77/24"))).toBe("10.210.1.1");
    expect(gatewayOf(subnet("192.168.255.255/16"))).toBe("192.168.0.1");
    expect(gatewayOf(subnet("255.255.255.252/30"))).toBe("255.255.255.253");
  });

  const bad = ["", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "10.0.0/24", "256.0.0.0/24", "::/64"];
  for (const text of [...bad, "10.0.0.0/24 ", "1e1.0.0.0/24", "-1.0.0.0/24"]) {
    test(`is not read from ${JSON.stringify(text)}`, () => {
      expect(parseSubnet(text)).toBeUndefined();
    });
  }
});

describe("a task's address", () => {
  test("is the lowest that no task holds, after the node's own", () => {
    const network = subnet("10.210.1.0/24");
    expect(freeAddress(network, new Set())).toBe("10.210.1.2");
    expect(freeAddress(network, new Set(["10.210.1.2", "10.210.1.4"]))).toBe("10.210.1.3");
  });

  test("is never the network's, the node's or the broadcast address", () => {
    const network = subnet("10.0.0.0/29");
    const taken = new Set<string>();
    for (let address = freeAddress(network, taken); address;) {
      taken.add(address);
      address = freeAddress(network, taken);
    }
    expect([...taken]).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
  });

  test("goes round, so that none is used again at once", () => {
    const network = subnet("10.0.0.0/29");
    expect(freeAddress(network, new Set(), "10.0.0.3")).toBe("10.0.0.4");
    expect(freeAddress(network, new Set(["10.0.0.5"]), "10.0.0.4")).toBe("10.0.0.6");
    expect(freeAddress(network, new Set(), "10.0.0.6")).toBe("10.0.0.2");
  });

  test("lies in the upper half of the address space as well", () => {
    expect(freeAddress(subnet("203.0.113.0/24"), new Set())).toBe("203.0.113.2");
  });
});
