import { describe, expect, test } from "bun:test";
import {
  ipv6Rules,
  nodeRules,
  type NodeRulesOptions,
} from "../../../../src/core/network/node-rules.ts";
import { formatWhole } from "../../../../src/core/network/rule-table.ts";
import type { NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapNode, aMapService, aMapTask, anId, aPort } from "../../../builders.ts";

const OWN = anId<"node">("n1");

function rulesOf(over: Partial<NetworkMap> = {}, options: Partial<NodeRulesOptions> = {}) {
  const map = aMap({ nodes: [aMapNode("n1"), aMapNode("n2")], ...over });
  const state = { isFiltered: true, isTight: false, isHeld: () => true };
  const table = nodeRules(map, OWN, { bridge: "orchd0", ...state, ...options });
  if (table === undefined) throw new Error("the map has the node");
  const chain = (name: string) => table.chains.get(name)?.rules ?? [];
  return { table, chain };
}

function rules6(over: Partial<NetworkMap> = {}) {
  const nodes = [aMapNode("n1"), aMapNode("n2")];
  const map = aMap({ nodes, range6: "fd00::/96", ...over });
  const options = { bridge: "orchd0", isFiltered: true, isTight: false, isHeld: () => true };
  const table = ipv6Rules(map, OWN, options);
  if (table === undefined) throw new Error("the map has the node");
  return table;
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

  test("are the same for IPv6 where tasks have it, and beware of addresses of links", () => {
    const table = rules6();
    const chain = (name: string) => table.chains.get(name)?.rules ?? [];
    expect(table.name).toBe("ip6 orchd");
    expect(chain("forward")).toEqual([
      "ct state established,related accept",
      'iifname "orchd0" oifname "orchd0" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ' +
        "accept",
      'iifname "orchd0" ip6 saddr != fd00::ad2:100/120 drop',
      'iifname "orchd0" oifname "orchd0" ip6 daddr != fd00::ad2:100/120 drop',
      "ip6 saddr fd00::ad2:0/112 goto tasks",
      "ip6 daddr fd00::ad2:0/112 goto tasks",
    ]);
    expect(chain("tasks")).toContain('iifname != "orchd0" ip6 saddr @nodes accept');
    expect(chain("nobody")).toContain("reject with icmpv6 type port-unreachable");
    expect(chain("postrouting")[1]).toBe(
      'oifname "orchd-vx" ip6 saddr != fd00::ad2:0/112 snat to fd00::ad2:101',
    );
    expect([...(table.sets.get("nodes")?.elements ?? [])]).toEqual(["fd00::ad2:201"]);
  });

  test("take nothing of IPv6 that was for a service for the node's own", () => {
    const table = rules6();
    expect(table.chains.get("prerouting")?.rules).toEqual([
      "ip6 daddr vmap @services",
      "ip6 daddr { ::1, fe80::/10, fd00::ad2:f000/116 } return",
      "fib daddr type local goto published_ports",
    ]);
    expect(table.chains.get("received")?.rules).toEqual([
      "ip6 daddr fd00::ad2:f000/116 goto nobody",
    ]);
  });

  test("name no address of IPv4 in those for IPv6 but where chains are named", () => {
    const ports = [aPort({ published: 8080 }), aPort({ published: 8081, hostIp: "192.0.2.1" })];
    const services = [aMapService("web", { virtualIp: "10.210.240.1", stickyMs: 1, ports })];
    const tasks = [aMapTask("t1"), aMapTask("t2", { address: "10.210.1.3" })];
    const script = formatWhole(rules6({ services, tasks }));
    const unnamed = script.replaceAll(/(?:service|from|to)_[\d.]+/g, "");
    expect(unnamed).not.toMatch(/\d+\.\d+\.\d+\.\d+|\bip [sd]addr|ipv4_addr/);
    expect(unnamed).not.toInclude("8081");
    expect(script).toInclude("fd00::ad2:f001 : goto service_10.210.240.1");
    expect(script).toInclude("jhash ip6 saddr mod 256");
    expect(script).toInclude("fd00::ad2:102 . fd00::ad2:102");
  });

  test("leave no way round by IPv6", () => {
    const options = { bridge: "orchd0", isFiltered: true, isTight: false, isHeld: () => true };
    expect(ipv6Rules(aMap(), OWN, options)?.chains.get("forward")?.rules).toEqual([
      'iifname "orchd0" drop',
      'oifname "orchd0" drop',
    ]);
  });
});
