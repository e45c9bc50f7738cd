import { describe, expect, test } from "bun:test";
import {
  ipv6Rules,
  nodeRules,
  type NodeRulesOptions,
} from "../../../../src/core/network/node-rules.ts";
import type { NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapNode, anId } from "../../../builders.ts";

const OWN = anId<"node">("n1");

function rulesOf(over: Partial<NetworkMap> = {}, options: Partial<NodeRulesOptions> = {}) {
  const map = aMap({ nodes: [aMapNode("n1"), aMapNode("n2")], ...over });
  const state = { isFiltered: true, isTight: false, isHeld: () => true };
  const table = nodeRules(map, OWN, { bridge: "orchd0", ...state, ...options });
  if (table === undefined) throw new Error("the map has the node");
  const chain = (name: string) => table.chains.get(name)?.rules ?? [];
  return { table, chain };
}

describe("the rules of a node", () => {
  test("let pass what tasks may send, and drop the rest of what is theirs", () => {
    const { chain } = rulesOf();
    expect(chain("forward")).toEqual([
      "ct state established,related accept",
      "ip saddr 10.210.0.0/16 goto tasks",
      "ip daddr 10.210.0.0/16 goto tasks",
    ]);
    expect(chain("tasks")).toEqual([
      "ip daddr 10.210.240.0/20 goto nobody",
      'iifname "orchd0" ip saddr != 10.210.1.0/24 drop',
      'iifname != { "orchd0", "orchd-vx" } ip saddr 10.210.0.0/16 drop',
      "ct status dnat ct original ip daddr != 10.210.240.0/20 goto from_outside",
      'iifname != "orchd0" ip saddr @nodes accept',
      "ip saddr vmap @senders",
      "ip daddr vmap @receivers",
      "drop",
    ]);
  });

  test("drop what of a task's TCP fits no connection, before it is for anybody", () => {
    const { table, chain } = rulesOf();
    expect(table.chains.get("unfit")?.hook).toContain("prerouting priority mangle");
    expect(chain("unfit")).toEqual([
      "ct state invalid ip saddr 10.210.0.0/16 meta l4proto tcp drop",
    ]);
  });

  test("change a client's address only where an answer would not find the way", () => {
    expect(rulesOf().chain("postrouting")).toEqual([
      "ip saddr . ip daddr @selves snat to 10.210.1.1",
      'oifname { "orchd0", "orchd-vx" } ip saddr 127.0.0.0/8 snat to 10.210.1.1',
      "ct status dnat ct original ip daddr != 10.210.240.0/20 ip daddr 10.210.0.0/16 " +
        "ip daddr != 10.210.1.0/24 snat to 10.210.1.1",
      "ct status dnat ip saddr != 10.210.0.0/16 ip daddr 10.210.0.0/16 " +
        "ip daddr != 10.210.1.0/24 snat to 10.210.1.1",
      "ip saddr 10.210.0.0/16 ip daddr 10.210.0.0/16 snat to ip saddr",
      'ip saddr 10.210.1.0/24 ip daddr != 224.0.0.0/4 oifname != "orchd0" masquerade',
    ]);
    const { chain } = rulesOf({}, { isFiltered: false });
    expect(chain("postrouting")).toContain(
      "ct status dnat ip saddr 10.210.1.0/24 ip daddr 10.210.1.0/24 snat to 10.210.1.1",
    );
  });

  test("know the other nodes, and take VXLAN from them alone", () => {
    const { table, chain } = rulesOf();
    expect([...(table.sets.get("nodes")?.elements ?? [])]).toEqual(["10.210.2.1"]);
    expect([...(table.sets.get("peers")?.elements ?? [])]).toEqual(["192.0.2.2"]);
    expect(chain("received")).toEqual(["udp dport 8472 @th,96,24 6770 ip saddr != @peers drop"]);
    expect(rulesOf({ mode: "wireguard" }).chain("received")).toEqual([]);
  });

  test("without a tunnel take tasks' packets from any device", () => {
    const { chain } = rulesOf({ mode: "host-gw" });
    expect(chain("tasks").filter((rule) => rule.includes("iifname != {"))).toEqual([]);
  });

  test("tell TCP what gets through where tasks would send too much", () => {
    expect(rulesOf({}, { isTight: true }).chain("forward")[0]).toBe(
      'tcp flags & (syn | rst) == syn oifname "orchd-vx" tcp option maxseg size set rt mtu',
    );
  });

  test("are in another range where the cluster is", () => {
    const nodes = [aMapNode("n1", { subnet: "172.30.1.0/24" })];
    const { chain } = rulesOf({ range: "172.30.0.0/16", nodes });
    expect(chain("sent")).toEqual(["ip daddr 172.30.240.0/20 goto nobody"]);
  });

  test("are none for a node that the map does not have", () => {
    const map = aMap({ nodes: [aMapNode("n2")] });
    const options = { bridge: "orchd0", isFiltered: true, isTight: false, isHeld: () => true };
    expect(nodeRules(map, OWN, options)).toBeUndefined();
  });

  test("leave no way round by IPv6", () => {
    expect(ipv6Rules("orchd0").chains.get("forward")?.rules).toEqual([
      'iifname "orchd0" drop',
      'oifname "orchd0" drop',
    ]);
  });
});
