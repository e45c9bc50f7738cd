import { describe, expect, test } from "bun:test";
import { isolationRules } from "../../../../src/core/network/isolation-rules.ts";
import type { MapTask, NetworkMap } from "../../../../src/model/network-map.ts";
import { aMap, aMapService, aMapTask, anId } from "../../../builders.ts";

const OWN = anId<"node">("n1");
const RANGE = "10.210.0.0/16";

function attached(network: string, internal = false) {
  return { network, aliases: [], internal };
}

function onOther(name: string, over: Partial<MapTask>): MapTask {
  return aMapTask(name, { nodeId: anId("n2"), ...over });
}

function rulesOf(over: Partial<NetworkMap>) {
  return isolationRules(aMap(over), OWN);
}

describe("a task of the node", () => {
  test("sends to those with whom it shares a network, and outside; and hears from those", () => {
    const { sets, chains } = rulesOf({
      tasks: [aMapTask("t1"), onOther("t2", { address: "10.210.2.2" })],
    });
    expect(chains.get("from_10.210.1.2")?.rules).toEqual([
      "ip daddr @net_shop_5f_default accept",
      `ip daddr != ${RANGE} accept`,
      "drop",
    ]);
    expect(chains.get("to_10.210.1.2")?.rules).toEqual([
      "ip saddr @net_shop_5f_default accept",
      "drop",
    ]);
    expect([...(sets.get("net_shop_5f_default")?.elements ?? [])]).toEqual([
      "10.210.1.2",
      "10.210.2.2",
    ]);
    expect([...(sets.get("senders")?.elements ?? [])]).toEqual([
      "10.210.1.2 : goto from_10.210.1.2",
    ]);
  });

  test("is there before it is ready, since a task that starts asks others", () => {
    const { chains } = rulesOf({ tasks: [aMapTask("t1", { isReady: false })] });
    expect([...chains.keys()]).toEqual(["from_10.210.1.2", "to_10.210.1.2"]);
  });

  test("reaches nothing outside when all its networks are internal", () => {
    const services = [
      aMapService("web", { networks: [attached("back", true)] }),
      aMapService("both", { networks: [attached("back", true), attached("front")] }),
    ];
    const tasks = [
      aMapTask("t1"),
      aMapTask("t2", { serviceId: anId("both"), address: "10.210.1.3" }),
    ];
    const { chains, sets } = rulesOf({ services, tasks });
    expect(chains.get("from_10.210.1.2")?.rules).toEqual(["ip daddr @net_back accept", "drop"]);
    expect(chains.get("from_10.210.1.3")?.rules).toContain(`ip daddr != ${RANGE} accept`);
    expect([...(sets.get("internal")?.elements ?? [])]).toEqual(["10.210.1.2"]);
  });

  test("is in the networks of its own revision", () => {
    const { chains } = rulesOf({ tasks: [aMapTask("t1", { networks: ["old"] })] });
    expect(chains.get("to_10.210.1.2")?.rules[0]).toBe("ip saddr @net_old accept");
  });
});

describe("a network", () => {
  test("that no task here is in is not known here", () => {
    const services = [aMapService("web", { networks: [attached("far")] })];
    const { sets } = rulesOf({ services, tasks: [onOther("t2", { address: "10.210.2.2" })] });
    expect([...sets.keys()].filter((name) => name.startsWith("net_"))).toEqual([]);
  });

  test("never has the name of another one, whatever people type", () => {
    const networks = ["a b", "a_b", "a_20_b", "a.b", "é", "x".repeat(255), `${"x".repeat(254)}y`];
    const services = networks.map((network, i) =>
      aMapService(`s${i}`, { networks: [attached(network)] }),
    );
    const tasks = services.map(({ id }, i) =>
      aMapTask(`t${i}`, { serviceId: id, address: `10.210.1.${i + 2}` }),
    );
    const { sets } = rulesOf({ services, tasks });
    const names = [...sets.keys()].filter((name) => name.startsWith("net_"));
    expect(names).toHaveLength(networks.length);
    for (const name of names) expect(name).toMatch(/^net_[A-Za-z0-9._/-]{1,200}$/);
    for (const name of names) expect(sets.get(name)?.elements.size).toBe(1);
  });
});
