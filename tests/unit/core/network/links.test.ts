import { describe, expect, test } from "bun:test";
import { planLinks, type FoundLinks } from "../../../../src/core/network/link-change.ts";
import {
  mtuOf,
  NO_LINKS,
  wantedLinks,
  type Links,
  type Underlay,
} from "../../../../src/core/network/links.ts";
import type { NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapNode, anId } from "../../../builders.ts";

const OWN = anId<"node">("n1");
const UNDERLAY: Underlay = { device: "eth0", mtu: 1500, isOwn: true };
const NOTHING: FoundLinks = {
  tunnels: [],
  addresses: [],
  routes: new Map(),
  neighbours: new Map(),
  forwarding: new Map(),
};
const LOCAL = "route replace local 10.210.1.1/32 dev lo table local proto 210 metric 6770";
const VIRTUAL = "route replace 10.210.240.0/20 dev lo src 10.210.1.1 proto 210 metric 6770";

function wanted(over: Partial<NetworkMap> = {}, underlay = UNDERLAY) {
  return wantedLinks(aMap({ nodes: [aMapNode("n1"), aMapNode("n2")], ...over }), OWN, underlay);
}

/** As the kernel tells of links that were made as wanted. */
function made({ tunnel, address, ...rest }: Links): FoundLinks {
  return {
    ...rest,
    tunnels: tunnel === undefined ? [] : [tunnel],
    addresses: address === undefined ? [] : [address],
  };
}

describe("the way to other nodes' tasks", () => {
  test("is a VXLAN whose peers are told one by one", () => {
    expect(planLinks(NOTHING, wanted().links)).toEqual({
      ip: [
        LOCAL,
        "link add orchd-vx address 06:6f:0a:d2:01:00 mtu 1450 " +
          "type vxlan id 6770 dstport 8472 nolearning local 192.0.2.1",
        "link set dev orchd-vx up",
        "neigh replace 10.210.2.1 lladdr 06:6f:0a:d2:02:00 dev orchd-vx nud permanent",
        VIRTUAL,
        "route replace 10.210.2.0/24 via 10.210.2.1 dev orchd-vx onlink src 10.210.1.1 " +
          "proto 210 metric 6770",
      ],
      bridge: ["fdb append 06:6f:0a:d2:02:00 dev orchd-vx dst 192.0.2.2"],
    });
  });

  test("is the node itself where all are on one network", () => {
    expect(planLinks(NOTHING, wanted({ mode: "host-gw" }).links)).toEqual({
      ip: [
        LOCAL,
        VIRTUAL,
        "route replace 10.210.2.0/24 via 192.0.2.2 dev eth0 src 10.210.1.1 proto 210 metric 6770",
      ],
      bridge: [],
    });
  });

  test("is the same for IPv6, but for an address to send from", () => {
    const range6 = "fd00::/96";
    const { ip } = planLinks(NOTHING, wanted({ range6 }).links);
    expect(ip.filter((line) => line.includes("fd00"))).toEqual([
      "neigh replace fd00::ad2:201 lladdr 06:6f:0a:d2:02:00 dev orchd-vx nud permanent",
      "route replace local fd00::ad2:f000/116 dev lo proto 210 metric 6770",
      "route replace fd00::ad2:200/120 via fd00::ad2:201 dev orchd-vx onlink proto 210 metric 6770",
    ]);
    const is = made(wanted({ range6 }).links);
    expect(planLinks(is, wanted({ range6 }).links)).toEqual({ ip: [], bridge: [] });
    expect(planLinks(is, NO_LINKS).ip).toContain("route del local fd00::ad2:f000/116 proto 210");
    const nodes = ["n1", "n2"].map((name) => aMapNode(name, { wireguardKey: name }));
    const { links } = wanted({ range6, nodes, mode: "wireguard" });
    expect(links.peers.get("n2")?.allowed).toBe("10.210.2.0/24,fd00::ad2:200/120");
    expect(planLinks(NOTHING, links).ip).toContain(
      "route replace fd00::ad2:200/120 dev orchd-wg proto 210 metric 6770",
    );
  });

  test("is WireGuard for nodes that have a key, and the others are told of", () => {
    const nodes = [
      aMapNode("n1", { wireguardKey: "one" }),
      aMapNode("n2", { wireguardKey: "two" }),
      aMapNode("n3"),
    ];
    const { links, problems } = wanted({ mode: "wireguard", nodes });
    expect([...links.peers.values()]).toEqual([
      { key: "two", endpoint: "192.0.2.2:6771", allowed: "10.210.2.0/24", keepalive: 0 },
    ]);
    expect(links.tunnel).toEqual({ name: "orchd-wg", kind: "wireguard", mtu: 1420 });
    expect(problems).toEqual(["n3 is not reached: n3 has no WireGuard; install wireguard"]);
  });

  test("is kept open from behind a router that forgets", () => {
    const nodes = [
      aMapNode("n1", { address: "192.168.1.5", wireguardKey: "one" }),
      aMapNode("n2", { wireguardKey: "two" }),
      aMapNode("n3", { address: "10.0.0.3", wireguardKey: "three" }),
    ];
    const { links } = wanted({ mode: "wireguard", nodes });
    expect([...links.peers.values()].map(({ keepalive }) => keepalive)).toEqual([25, 0]);
  });

  test("needs no device while the node is alone", () => {
    const { links } = wanted({ nodes: [aMapNode("n1")] });
    expect(planLinks(NOTHING, links)).toEqual({
      ip: [LOCAL, VIRTUAL],
      bridge: [],
    });
  });

  test("leaves the source to the machine where its address is a router's", () => {
    expect(wanted({}, { ...UNDERLAY, isOwn: false }).links.tunnel?.local).toBeUndefined();
  });

  test("does not lead to a node without an IPv4 address", () => {
    const nodes = [aMapNode("n1"), aMapNode("n2", { address: "2001:db8::2" })];
    const { links, problems } = wanted({ nodes });
    expect(links.routes.size).toBe(1);
    expect(problems[0]).toInclude("n2 is not reached: 2001:db8::2 is no IPv4 address");
  });

  test("has room for what is put around packets", () => {
    expect(mtuOf({ mode: "vxlan" }, 1500)).toBe(1450);
    expect(mtuOf({ mode: "wireguard" }, 1500)).toBe(1420);
    expect(mtuOf({ mode: "host-gw" }, 9000)).toBe(9000);
    expect(mtuOf({ mode: "vxlan" }, 100)).toBe(576);
    expect(mtuOf({ mode: "vxlan", range6: "fd00::/96" }, 1300)).toBe(1280);
  });
});

describe("links that are there", () => {
  for (const mode of ["vxlan", "host-gw", "wireguard"] as const) {
    test(`with ${mode} are left alone when they are as wanted`, () => {
      const nodes = [aMapNode("n1", { wireguardKey: "1" }), aMapNode("n2", { wireguardKey: "2" })];
      const { links } = wanted({ mode, nodes });
      expect(planLinks(made(links), links)).toEqual({ ip: [], bridge: [] });
    });
  }

  test("follow a node that moved", () => {
    const before = made(wanted().links);
    const nodes = [aMapNode("n1"), aMapNode("n2", { address: "192.0.2.7" })];
    expect(planLinks(before, wanted({ nodes }).links)).toEqual({
      ip: [],
      bridge: [
        "fdb del 06:6f:0a:d2:02:00 dev orchd-vx dst 192.0.2.2",
        "fdb append 06:6f:0a:d2:02:00 dev orchd-vx dst 192.0.2.7",
      ],
    });
  });

  test("lose what led to a node that left", () => {
    const before = made(wanted({ nodes: [1, 2, 3].map((i) => aMapNode(`n${i}`)) }).links);
    expect(planLinks(before, wanted().links)).toEqual({
      ip: ["route del 10.210.3.0/24 proto 210", "neigh del 10.210.3.1 dev orchd-vx"],
      bridge: ["fdb del 06:6f:0a:d2:03:00 dev orchd-vx dst 192.0.2.3"],
    });
  });

  test("follow the machine's own address and room", () => {
    const nodes = [aMapNode("n1", { address: "192.0.2.9" }), aMapNode("n2")];
    const { links } = wanted({ nodes }, { ...UNDERLAY, mtu: 1400 });
    expect(planLinks(made(wanted().links), links).ip).toEqual([
      "link set dev orchd-vx mtu 1350",
      "link set dev orchd-vx type vxlan id 6770 local 192.0.2.9",
    ]);
  });

  test("make room for those of another mode, with everything that hung on them", () => {
    const before = made(wanted().links);
    expect(planLinks(before, wanted({ mode: "host-gw" }).links)).toEqual({
      ip: [
        "link del dev orchd-vx",
        "route replace 10.210.2.0/24 via 192.0.2.2 dev eth0 src 10.210.1.1 proto 210 metric 6770",
      ],
      bridge: [],
    });
  });

  test("all go when the node leaves", () => {
    expect(planLinks(made(wanted().links), NO_LINKS)).toEqual({
      ip: [
        "link del dev orchd-vx",
        "route del 10.210.240.0/20 proto 210",
        "route del local 10.210.1.1/32 dev lo table local proto 210",
      ],
      bridge: [],
    });
  });
});
