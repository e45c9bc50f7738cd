import { describe, expect, test } from "bun:test";
import { silentLog } from "../../../src/lib/log.ts";
import { put } from "../../../src/model/change.ts";
import { replicasOf } from "../../../src/model/service.ts";
import type { NodeUsage } from "../../../src/model/usage.ts";
import { Autoscaler, LOOK_MS } from "../../../src/server/autoscaler.ts";
import { FakeAgent } from "../api/fixture.ts";
import { aNode, anId, anIngressRule, aService, aTask } from "../../builders.ts";
import { Rig } from "./rig.ts";

const autoscale = {
  min: 1,
  max: 8,
  cpuPercent: 50,
  up: { windowMs: 0, step: 0 },
  down: { windowMs: 60_000, step: 0 },
};

/** A service of two tasks on n1, whose agent says that each keeps so much of a core busy. */
async function aRig(spec: Parameters<typeof aService>[0] = {}) {
  const rig = new Rig();
  const agents = { n1: new FakeAgent("n1"), n2: new FakeAgent("n2") };
  const agent = agents.n1;
  const state = { cores: 0.5, asked: 0, connections: 0, requests: 0, isSilent: false };
  agent.usage = async (tasks): Promise<NodeUsage> => {
    state.asked += 1;
    if (state.isSilent) return await new Promise(() => {});
    const at = rig.clock.now();
    const used = tasks.map((taskId) => ({ taskId, cpuMs: at * state.cores, memoryBytes: 1 }));
    return { at, tasks: used, connections: { "8080/tcp": state.connections * (at / 1000) } };
  };
  const service = aService({ autoscale, replicas: 2, ...spec });
  agents.n2.usage = async (): Promise<NodeUsage> => {
    state.asked += 1;
    const at = rig.clock.now();
    const requests = { [service.id]: state.requests * (at / 1000) };
    return { at, tasks: [], connections: {}, requests };
  };
  const autoscaler = new Autoscaler({
    store: rig.store,
    clock: rig.clock,
    log: silentLog,
    session: (nodeId) => Object.values(agents).find((one) => one.nodeId === nodeId),
  });
  const running = { nodeId: anId<"node">("n1"), state: "running" } as const;
  rig.health.close();
  await rig.commit(
    put.node(aNode("n1")),
    put.node(aNode("n2")),
    put.service(service),
    put.task(aTask(service, "a", running)),
    put.task(aTask(service, "b", { ...running, slot: "2" })),
  );
  autoscaler.start();
  const replicas = () => {
    const stored = rig.store.view().services.get(service.id);
    return stored === undefined ? 0 : replicasOf(stored);
  };
  return { rig, autoscaler, state, replicas, service };
}

describe("a service that scales itself", () => {
  test("gets more tasks when two looks show that they are too busy", async () => {
    const { rig, replicas, autoscaler, service, state } = await aRig();
    state.cores = 1;
    await rig.pass(LOOK_MS + 100);
    expect([replicas(), autoscaler.reason(service.id)]).toEqual([2, "nothing is measured yet"]);
    await rig.pass(LOOK_MS);
    expect(replicas()).toBe(4);
    expect(autoscaler.reason(service.id)).toBe("cpu is at 200 % of what is wanted: 2 -> 4 tasks");
  });

  test("goes by new connections where it says so", async () => {
    const requests = { ...autoscale, cpuPercent: undefined, requestsPerSecond: 10 };
    const { cpuPercent: _, ...policy } = requests;
    const port = { target: 80, published: 8080, protocol: "tcp", mode: "ingress" } as const;
    const { rig, replicas, state } = await aRig({ autoscale: policy, ports: [port] });
    state.connections = 60;
    await rig.pass(3 * LOOK_MS);
    expect(replicas()).toBe(6);
  });

  test("goes by the requests for it, by whichever node they come in", async () => {
    const { cpuPercent: _, ...policy } = { ...autoscale, requestsPerSecond: 10 };
    const ingress = [anIngressRule({ host: "shop.example.org" })];
    const { rig, replicas, state } = await aRig({ autoscale: policy, ingress });
    state.requests = 60;
    await rig.pass(3 * LOOK_MS);
    expect(replicas()).toBe(6);
  });

  test("asks only the nodes of its tasks where it does not go by requests", async () => {
    const { rig, state } = await aRig();
    await rig.pass(10 * LOOK_MS + 100);
    expect(state.asked).toBe(10);
  });

  test("keeps its tasks when its node does not say what they use", async () => {
    const { rig, replicas, state, autoscaler, service } = await aRig();
    state.isSilent = true;
    await rig.pass(10 * LOOK_MS);
    expect(state.asked).toBeGreaterThan(3);
    expect([replicas(), autoscaler.reason(service.id)]).toEqual([2, "nothing is measured yet"]);
  });

  test("writes nothing, and makes no revision, while its number is right", async () => {
    const { rig, replicas, autoscaler, service } = await aRig();
    await rig.pass(2 * LOOK_MS);
    expect(autoscaler.reason(service.id)).toEndWith("2 tasks are right");
    const { version } = rig.store.view();
    await rig.pass(20 * LOOK_MS);
    expect([replicas(), rig.store.view().version]).toEqual([2, version]);
  });
});

test("nobody is asked while no service scales itself", async () => {
  const { rig, state, service } = await aRig();
  await rig.pass(2 * LOOK_MS);
  const [stored] = rig.store.view().services.values();
  await rig.commit(put.service({ ...(stored ?? service), removing: true }));
  await rig.pass(LOOK_MS);
  const { asked } = state;
  await rig.pass(20 * LOOK_MS);
  expect(state.asked).toBe(asked);
});
