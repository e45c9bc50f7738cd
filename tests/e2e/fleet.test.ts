import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Explanation, NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";

/** A server alone waits half a minute before it believes that all others are gone. */
const PARTITION_MS = 240_000;

const SPREAD = aStack("spread", "deploy: {replicas: 6}");

/** Three machines: h1 is the server, h2 and h3 have joined, one by address, one by multicast. */
async function threeNodes(): Promise<Fleet> {
  const fleet = await Fleet.start(3);
  const [h1, h2, h3] = hostsOf(fleet);
  await h1.startServer();
  const token = await h1.token();
  h2.spawnAgent([`${token}@${h1.address}`, "--label", "zone=hall"]);
  h3.spawnAgent([token]);
  await h1.waitFor("all nodes are ready", async () => (await ready(h1)).length === 3);
  await h1.loadImage();
  return fleet;
}

function hostsOf(fleet: Fleet): [FleetHost, FleetHost, FleetHost] {
  return [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
}

async function ready(server: FleetHost): Promise<string[]> {
  const nodes = await server.json<NodeSummary[]>("nodes");
  return nodes.filter((node) => node.health === "ready").map((node) => node.hostname);
}

async function healthOf(server: FleetHost, name: string): Promise<string | undefined> {
  const nodes = await server.json<NodeSummary[]>("nodes");
  return nodes.find((node) => node.hostname === name)?.health;
}

/** Running tasks of a stack on one node, by the server. */
async function runningOn(server: FleetHost, stack: string, node: string): Promise<TaskSummary[]> {
  return (await server.running(stack)).filter((task) => task.node === node);
}

/** Running containers of a stack on a host, by its Podman. */
async function containersOn(host: FleetHost, stack: string): Promise<string[]> {
  return host.containers(stack);
}

/** Waits until so many tasks are ready, and no container runs beside theirs. */
async function waitReady(fleet: Fleet, stack: string, count: number): Promise<void> {
  const [server] = hostsOf(fleet);
  await server.waitFor(`${count} tasks of ${stack} are ready`, async () => {
    const tasks = await server.json<TaskSummary[]>("ps", stack);
    if (tasks.length !== count || !tasks.every((task) => task.ready)) return false;
    const running = await Promise.all(fleet.hosts.map((host) => containersOn(host, stack)));
    return running.flat().length === count;
  });
}

describe("a fleet of three", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await threeNodes();
  });
  afterAll(async () => fleet.stop());

  test("has nodes that joined by address and by multicast, with their labels", async () => {
    const [h1] = hostsOf(fleet);
    const nodes = await h1.json<NodeSummary[]>("nodes");
    expect(nodes.map(({ hostname, address }) => `${hostname} ${address}`)).toEqual(
      fleet.hosts.map(({ name, address }) => `${name} ${address}`),
    );
    expect(nodes.find(({ hostname }) => hostname === "h2")?.labels).toEqual({ zone: "hall" });
  });

  test("spreads a stack, and its logs and commands are reached from the server", async () => {
    const [h1] = hostsOf(fleet);
    await h1.mustUp(SPREAD);
    for (const host of fleet.hosts) {
      expect(await runningOn(h1, "spread", host.name)).toHaveLength(2);
      expect(await containersOn(host, "spread")).toHaveLength(2);
    }
    const [task] = await runningOn(h1, "spread", "h3");
    const said = await h1.must("exec", task?.name ?? "", "--", "cat", "/proc/1/comm");
    expect(said.trim()).not.toBe("");
  });

  test("replaces the tasks of a node whose power was cut, and takes it back", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    const before = await containersOn(h2, "spread");
    await h3.cutPower();
    await h1.waitFor("h3 is down", async () => (await healthOf(h1, "h3")) === "down");
    await h1.waitFor("its tasks run elsewhere", async () => {
      const [a, b] = await Promise.all([
        runningOn(h1, "spread", "h1"),
        runningOn(h1, "spread", "h2"),
      ]);
      return a.length + b.length === 6;
    });
    const meanwhile = await containersOn(h2, "spread");
    expect(before.filter((one) => !meanwhile.includes(one))).toEqual([]);
    const told = await h1.json<Explanation>("explain", "h3");
    expect(told.summary).toInclude("down");
    await h3.boot();
    h3.spawnAgent();
    await h1.waitFor("h3 is back", async () => (await healthOf(h1, "h3")) === "ready");
    await waitReady(fleet, "spread", 6);
    const running = await Promise.all(fleet.hosts.map((host) => containersOn(host, "spread")));
    expect(running.flat()).toHaveLength(6);
    const kept = running[1] ?? [];
    for (const container of before) expect(kept).toContain(container);
  });

  test("goes on where the link was cut, and restarts nothing when it is mended", async () => {
    const [h1, h2] = hostsOf(fleet);
    const before = await containersOn(h2, "spread");
    await h2.cutLink();
    await h1.waitFor("h2 is down", async () => (await healthOf(h1, "h2")) === "down");
    await h1.waitFor("its tasks run elsewhere", async () => {
      return (await h1.running("spread")).filter((task) => task.node !== "h2").length === 6;
    });
    expect(await containersOn(h2, "spread")).toEqual(before);
    await h2.mendLink();
    await h1.waitFor("h2 is back", async () => (await healthOf(h1, "h2")) === "ready");
    await waitReady(fleet, "spread", 6);
    expect(await containersOn(h2, "spread")).toEqual(before);
  });

  test("restarts what crashes on a node that is cut off, and keeps it afterwards", async () => {
    const [h1, h2] = hostsOf(fleet);
    await h2.cutLink();
    await h1.waitFor("h2 is down", async () => (await healthOf(h1, "h2")) === "down");
    const before = await containersOn(h2, "spread");
    const [victim = ""] = before;
    await h2.podman("kill", victim.split(" ")[0] ?? "");
    await h2.waitFor("another one runs", async () => {
      const now = await containersOn(h2, "spread");
      return now.length === before.length && !now.includes(victim);
    });
    const alone = await containersOn(h2, "spread");
    await h2.mendLink();
    await h1.waitFor("h2 is back", async () => (await healthOf(h1, "h2")) === "ready");
    await waitReady(fleet, "spread", 6);
    expect(await containersOn(h2, "spread")).toEqual(alone);
  });

  test("brings its tasks back after a power cut with no server in reach", async () => {
    const [, h2] = hostsOf(fleet);
    const { length: count } = await containersOn(h2, "spread");
    await h2.cutPower();
    await h2.boot();
    await h2.cutLink();
    const begin = h2.log.length;
    h2.spawnAgent();
    await h2.waitFor("its tasks run", async () => {
      return (await containersOn(h2, "spread")).length === count;
    });
    const alone = await containersOn(h2, "spread");
    await h2.mendLink();
    await h2.waitFor("it has a session", () => h2.log.includes("connected to the", begin));
    await waitReady(fleet, "spread", 6);
    expect(await containersOn(h2, "spread")).toEqual(alone);
  });

  test("runs on while its server is gone, and restarts nothing when it is back", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    const before = await Promise.all([h1, h2, h3].map((host) => containersOn(host, "spread")));
    await h1.endServer("SIGKILL");
    await h1.startServer();
    await h1.waitFor("all nodes are ready", async () => (await ready(h1)).length === 3);
    await waitReady(fleet, "spread", 6);
    const after = await Promise.all([h1, h2, h3].map((host) => containersOn(host, "spread")));
    expect(after).toEqual(before);
  });

  test(
    "goes on while its server alone is cut off, and restarts nothing when it is back",
    async () => {
      const [h1, h2, h3] = hostsOf(fleet);
      const others = [h2, h3];
      const before = await Promise.all(others.map((host) => containersOn(host, "spread")));
      await h1.cutLink();
      // A server that hears nobody takes its own cable for the likelier fault at first.
      await h1.waitFor("the server suspects both", async () => {
        const health = await Promise.all(others.map(({ name }) => healthOf(h1, name)));
        return health.every((one) => one === "suspect");
      });
      await h1.waitFor("the server takes both for gone", async () => {
        const health = await Promise.all(others.map(({ name }) => healthOf(h1, name)));
        return health.every((one) => one === "down");
      });
      await h1.waitFor("it runs all that it can by itself", async () => {
        return (await runningOn(h1, "spread", "h1")).length === 6;
      });
      const meanwhile = await Promise.all(others.map((host) => containersOn(host, "spread")));
      expect(meanwhile).toEqual(before);
      await h1.mendLink();
      await h1.waitFor("all nodes are ready", async () => (await ready(h1)).length === 3);
      await waitReady(fleet, "spread", 6);
      const after = await Promise.all(others.map((host) => containersOn(host, "spread")));
      expect(after).toEqual(before);
    },
    PARTITION_MS,
  );

  test("takes a node whose clock says 1970, which learns the time", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    for (const host of [h2, h3]) await host.endServer("SIGTERM");
    h2.skewClock("@1970-01-01 00:00:10");
    h3.skewClock("+5y");
    for (const host of [h2, h3]) host.spawnAgent();
    await h1.waitFor("both are ready", async () => (await ready(h1)).length === 3);
    await waitReady(fleet, "spread", 6);
    await h1.must("restart", "spread/app");
    await waitReady(fleet, "spread", 6);
    const now = Date.now();
    for (const { createdAt } of await h1.tasks("spread")) {
      expect(Math.abs(createdAt - now)).toBeLessThan(60_000);
    }
    for (const host of [h2, h3]) {
      await host.endServer("SIGTERM");
      host.skewClock("");
      host.spawnAgent();
    }
    await h1.waitFor("both are ready", async () => (await ready(h1)).length === 3);
  });

  test("finds itself again when every address changes at once", async () => {
    const [h1] = hostsOf(fleet);
    await Promise.all(fleet.hosts.map((host) => host.moveTo(1)));
    await h1.waitFor("the new addresses are known", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return fleet.hosts.every(({ name, address }) =>
        nodes.some(
          (node) => node.hostname === name && node.address === address && node.health === "ready",
        ),
      );
    });
    await waitReady(fleet, "spread", 6);
  });
});
