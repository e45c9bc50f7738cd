import { describe, expect, test } from "bun:test";
import {
  counterOf,
  endpointRules,
  portOfCounter,
  portsAnswered,
} from "../../../../src/core/network/endpoint-rules.ts";
import type { NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapNode, aMapService, aMapTask, anId, aPort } from "../../../builders.ts";

const OWN = anId<"node">("n1");
const HERE = aMapTask("t1");
const THERE = aMapTask("t2", { nodeId: anId("n2"), address: "10.210.2.2" });

function rulesOf(over: Partial<NetworkMap>, isHeld = () => true) {
  const nodes = [aMapNode("n1"), aMapNode("n2")];
  return endpointRules(aMap({ nodes, tasks: [HERE, THERE], ...over }), OWN, isHeld);
}

function elementsOf({ sets }: ReturnType<typeof rulesOf>, name: string): string[] {
  return [...(sets.get(name)?.elements ?? [])];
}

describe("a virtual address", () => {
  const services = [aMapService("web", { virtualIp: "10.210.240.1" })];

  test("leads to the ready tasks on all nodes, whatever the port", () => {
    const rules = rulesOf({ services });
    expect(elementsOf(rules, "services")).toEqual(["10.210.240.1 : goto service_10.210.240.1"]);
    expect(rules.chains.get("service_10.210.240.1")?.rules).toEqual([
      "dnat to numgen random mod 2 map { 0 : 10.210.1.2, 1 : 10.210.2.2 }",
    ]);
  });

  test("leads to nobody while no task is ready", () => {
    const rules = rulesOf({ services, tasks: [{ ...HERE, isReady: false }] });
    expect(elementsOf(rules, "services")).toEqual([]);
    expect([...rules.chains]).toEqual([]);
  });

  test("keeps a client of a sticky service at one task", () => {
    const sticky = [aMapService("web", { virtualIp: "10.210.240.1", stickyMs: 60_000 })];
    const [rule] = rulesOf({ services: sticky }).chains.get("service_10.210.240.1")?.rules ?? [];
    expect(rule).toStartWith("dnat to jhash ip saddr mod 256 seed");
  });
});

describe("a published port", () => {
  const port = aPort({ published: 8080, target: 80 });
  const services = [aMapService("web", { ports: [port] })];

  test("leads to the ready tasks on all nodes, and counts connections", () => {
    const rules = rulesOf({ services });
    expect(elementsOf(rules, "published")).toEqual(["tcp . 8080 : goto port_tcp_8080"]);
    expect(rules.chains.get("port_tcp_8080")?.rules).toEqual([
      'meta l4proto tcp counter name "tcp_8080" dnat to ' +
        "numgen random mod 2 map { 0 : 10.210.1.2 . 80, 1 : 10.210.2.2 . 80 }",
    ]);
    expect([...rules.counters]).toEqual(["tcp_8080"]);
  });

  test("leads to the node's own tasks alone with the mode host", () => {
    const ports = [{ ...port, mode: "host" as const }];
    const { chains } = rulesOf({ services: [aMapService("web", { ports })] });
    expect(chains.get("port_tcp_8080")?.rules[0]).toEndWith("dnat to 10.210.1.2:80");
    const onlyThere = rulesOf({ services: [aMapService("web", { ports })], tasks: [THERE] });
    expect(onlyThere.chains.size).toBe(0);
  });

  test("is found by its address where it has one", () => {
    const ports = [{ ...port, hostIp: "192.0.2.1" }];
    const rules = rulesOf({ services: [aMapService("web", { ports })] });
    expect(elementsOf(rules, "published")).toEqual([]);
    expect(elementsOf(rules, "published_at")).toEqual([
      "192.0.2.1 . tcp . 8080 : goto port_tcp_8080_192.0.2.1",
    ]);
  });

  test("has the target of each task's own revision", () => {
    const tasks = [HERE, { ...THERE, ports: [{ ...port, target: 81 }] }];
    const [rule = ""] = rulesOf({ services, tasks }).chains.get("port_tcp_8080")?.rules ?? [];
    expect(rule).toEndWith("{ 0 : 10.210.1.2 . 80, 1 : 10.210.2.2 . 81 }");
  });

  test("is left to the program that has it", () => {
    expect(rulesOf({ services }, () => false).chains.size).toBe(0);
  });

  test("belongs to one service where two publish it", () => {
    const both = [...services, aMapService("api", { ports: [port] })];
    const tasks = [HERE, aMapTask("t3", { serviceId: anId("api"), address: "10.210.1.9" })];
    const { chains } = rulesOf({ services: both, tasks });
    expect(chains.get("port_tcp_8080")?.rules[0]).toEndWith("dnat to 10.210.1.9:80");
  });

  test("is answered by every node, with the mode host where a task is", () => {
    const ports = [port, aPort({ published: 9000, mode: "host" })];
    const map = aMap({ services: [aMapService("web", { ports })], tasks: [THERE] });
    expect(portsAnswered(map, OWN).map(({ published }) => published)).toEqual([8080]);
    expect(portsAnswered(map, THERE.nodeId).map((one) => one.published)).toEqual([8080, 9000]);
  });

  test("is known by its counter", () => {
    expect(portOfCounter(counterOf({ protocol: "udp", published: 53 }))).toBe("53/udp");
    expect(portOfCounter("other")).toBeUndefined();
  });
});
