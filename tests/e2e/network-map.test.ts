import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";
import type { NetworkInspection, NetworkSummary } from "../../src/model/network-summary.ts";
import type { NetworkMap } from "../../src/model/network-map.ts";
import type { Explanation, NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { openAgentState } from "../../src/store/agent-state/agent-state.ts";

const RANGE = "10.60.0.0/16";
const STACK = aStack("web", "deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}");

/** What a host's agent has on its disk; it must not run. */
function mapOnDisk(host: FleetHost): NetworkMap | undefined {
  const state = openAgentState(join(host.dataDir, "agent.db"));
  try {
    return state.networkMap();
  } finally {
    state.close();
  }
}

describe("two machines with a range of their own", () => {
  let fleet: Fleet;
  let [h1, h2]: FleetHost[] = [];
  const hosts = (): [FleetHost, FleetHost] => {
    if (h1 === undefined || h2 === undefined) throw new Error("the fleet has two hosts");
    return [h1, h2];
  };
  const tasks = async () => {
    const [server] = hosts();
    return server.json<TaskSummary[]>("ps", "web");
  };
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    [h1, h2] = fleet.hosts;
    const [server, other] = hosts();
    await server.startServer(["--cluster-range", RANGE]);
    other.spawnAgent([`${await server.token()}@${server.address}`]);
    await server.waitFor("both nodes are ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 2;
    });
    await server.loadImage();
    await server.mustUp(STACK);
  });
  afterAll(async () => fleet.stop());

  test("have tasks, services and networks with addresses of it", async () => {
    const [server] = hosts();
    const addresses = (await tasks()).map(({ address = "" }) => address.replace(/\d+$/, ""));
    expect(addresses.toSorted()).toEqual(["10.60.1.", "10.60.2."]);
    const networks = await server.json<NetworkSummary[]>("network", "ls");
    expect(networks).toEqual([
      { name: "web_default", internal: false, stacks: ["web"], services: 1, tasks: 2, ready: 2 },
    ]);
    const [network] = await server.json<NetworkInspection[]>("network", "inspect", "web_default");
    const [member] = network?.members ?? [];
    expect(member?.virtualIp).toMatch(/^10\.60\.2[45]\d\./);
    const endpoints = member?.endpoints.map(({ node = "", ready }) => `${node} ${ready}`);
    expect(endpoints?.toSorted()).toEqual(["h1 true", "h2 true"]);
    const { facts } = await server.json<Explanation>("explain", `web/${member?.service ?? ""}`);
    expect(facts).toContainEqual({ label: "virtual address", value: member?.virtualIp ?? "" });
  });

  test("are refused another range later, in one sentence", async () => {
    const [server] = hosts();
    await server.endServer();
    const { code, stderr } = await server.orchdWith(
      {},
      "server",
      "--data-dir",
      server.dataDir,
      "--cluster-range",
      "10.61.0.0/16",
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining("is 10.60.0.0/16 since it was")]);
    await server.startServer();
  });

  test("know each other's tasks after a power cut, without any server", async () => {
    const [server, other] = hosts();
    await server.waitFor("both tasks are ready", async () => {
      const found = await tasks();
      return found.length === 2 && found.every(({ ready }) => ready);
    });
    const known = await tasks();
    await server.waitFor("h2 has them on its disk", () => {
      // The file is the agent's alone while that runs, but its bytes can be looked at.
      const journal = readFileSync(join(other.dataDir, "agent.db-wal"), "latin1");
      return known.every(({ id }) => journal.includes(`task/${id}`));
    });
    await server.endServer();
    await other.cutPower();
    const before = mapOnDisk(other);
    expect(before?.range).toBe(RANGE);
    expect(before?.nodes.map(({ hostname, subnet }) => `${hostname} ${subnet}`).toSorted()).toEqual(
      ["h1 10.60.1.0/24", "h2 10.60.2.0/24"],
    );
    const told = before?.tasks.map(({ id, address }) => `${id} ${address}`).toSorted();
    expect(told).toEqual(known.map(({ id, address }) => `${id} ${address ?? ""}`).toSorted());
    await other.boot();
    other.spawnAgent();
    await other.waitFor("its task runs again", async () => {
      return (await other.containers("web")).length === 1;
    });
    await other.endServer("SIGTERM");
    expect(mapOnDisk(other)?.nodes).toEqual(before?.nodes ?? []);
  });
});
