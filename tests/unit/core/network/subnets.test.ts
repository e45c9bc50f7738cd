import { expect, test } from "bun:test";
import { freeSubnet } from "../../../../src/core/network/subnets.ts";
import { aNode } from "../../../builders.ts";

const nodeWith = (third: number) => aNode(`n${third}`, { subnet: `10.210.${third}.0/24` });

test("the lowest range that no node has is the next, that of the server's machine left out", () => {
  expect(freeSubnet([])).toBe("10.210.2.0/24");
  expect(freeSubnet([aNode("no-network")])).toBe("10.210.2.0/24");
  expect(freeSubnet([nodeWith(2), nodeWith(4)])).toBe("10.210.3.0/24");
});

test("a cluster has 254 ranges beside that one", () => {
  const all = Array.from({ length: 254 }, (_, i) => nodeWith(i + 2));
  expect(freeSubnet(all.slice(0, -1))).toBe("10.210.255.0/24");
  expect(freeSubnet(all)).toBeUndefined();
});
