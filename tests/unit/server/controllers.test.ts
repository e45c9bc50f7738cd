import { describe, expect, test } from "bun:test";
import { put } from "../../../src/model/change.ts";
import { revise } from "../../../src/model/revise.ts";
import { aNode, aService, aSpec, aStack, aTask, anId, reserving } from "../../builders.ts";
import { Rig } from "./rig.ts";

async function aRig(): Promise<Rig> {
  const rig = new Rig();
  rig.decide();
  await rig.connect();
  return rig;
}

/** The service of that name as the store holds it. */
function stored(rig: Rig, name = "web") {
  const service = rig.store.view().services.get(anId(name));
  if (service === undefined) throw new Error(`${name} is stored`);
  return service;
}

describe("a service that is written", () => {
  test("gets its tasks, and they get a node, without anybody asking", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService({ replicas: 2 })));
    expect(rig.tasks()).toEqual(["1 running assigned", "2 running assigned"]);
    expect(rig.sets.at(-1)?.assignments).toHaveLength(2);
  });

  test("waits for a node, and says so, until one comes", async () => {
    const rig = new Rig();
    rig.decide();
    await rig.commit(put.service(aService()));
    const [task] = rig.disk.view.tasks.values();
    expect([task?.state, task?.message]).toEqual(["pending", "no node has joined the cluster yet"]);
    await rig.connect();
    expect(rig.tasks()).toEqual(["1 running assigned"]);
    expect(rig.disk.view.tasks.get(task?.id ?? anId("none"))?.message).toBe("");
  });

  test("is decided after a full disk has room again", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService()));
    rig.diskIsFull = true;
    await rig.pass(5000);
    const next = rig.store.commit([
      put.service(revise(stored(rig), aSpec({ replicas: 3 }), 1, [])),
    ]);
    await Promise.all([next.catch(() => undefined), rig.pass(5000)]);
    rig.diskIsFull = false;
    await rig.commit(put.service(revise(stored(rig), aSpec({ replicas: 2 }), 1, [])));
    expect(rig.tasks()).toEqual(["1 running assigned", "2 running assigned"]);
  });
});

describe("a task that failed", () => {
  test("is followed by the next attempt after its wait", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService()));
    await rig.report("failed", "1");
    await rig.pass(800);
    expect(rig.tasks()).toEqual(["1 running failed"]);
    await rig.pass(200);
    expect(rig.tasks()).toEqual(["1 running assigned", "1 shutdown failed"]);
  });
});

describe("a task that waits for room", () => {
  test("gets it when another one has ended, not when that is only asked to", async () => {
    const rig = await aRig();
    const full = { resources: reserving(4000) };
    await rig.commit(put.service(aService(full, { id: anId("a"), name: "a" })));
    await rig.report("running", "1");
    await rig.commit(put.service(aService({ ...full }, { id: anId("b"), name: "b" })));
    const waiting = () =>
      [...rig.disk.view.tasks.values()].find(({ service }) => service === "b")?.state;
    expect(waiting()).toBe("pending");
    await rig.commit(put.service(revise(stored(rig, "a"), aSpec({ ...full, replicas: 0 }), 1, [])));
    expect(waiting()).toBe("pending");
    const [leaving] = rig.store.view().tasksOf(anId("a"));
    const gone = { state: "removed", health: "none", message: "", since: 9 } as const;
    const statuses = leaving === undefined ? [] : [{ ...gone, taskId: leaving.id }];
    await Promise.all([rig.dispatcher.report(anId("n1"), statuses), rig.pass(100)]);
    expect(waiting()).toBe("assigned");
  });

  test("gets it when a node becomes active again", async () => {
    const rig = await aRig();
    const node = rig.store.view().nodes.get(anId("n1")) ?? aNode();
    await rig.commit(put.node({ ...node, availability: "drain" }));
    await rig.commit(put.service(aService()));
    expect(rig.tasks()).toEqual(["1 running pending"]);
    const drained = rig.store.view().nodes.get(anId("n1")) ?? aNode();
    await rig.commit(put.node({ ...drained, availability: "active" }));
    expect(rig.tasks()).toEqual(["1 running assigned"]);
  });

  test("does not come back to life when it was ended in the moment of its placement", async () => {
    const rig = await aRig();
    const node = rig.store.view().nodes.get(anId("n1")) ?? aNode();
    await rig.commit(put.node({ ...node, availability: "drain" }));
    await rig.commit(put.service(aService()));
    const [task] = rig.store.view().tasks.values();
    const unwatch = rig.store.watch(() => {
      unwatch();
      // The controllers have heard of the node by now, and hear of this only once it is durable.
      const ended = { desired: "shutdown", state: "shutdown", message: "ended" } as const;
      void rig.store.commit([
        put.task({ ...(task ?? aTask(aService(), "t")), ...waiting(), ...ended }),
      ]);
    });
    const waiting = () => rig.store.view().tasks.get(task?.id ?? anId("t"));
    const drained = rig.store.view().nodes.get(anId("n1")) ?? aNode();
    await rig.commit(put.node({ ...drained, availability: "active" }));
    expect(waiting()).toMatchObject({ state: "shutdown", desired: "shutdown" });
  });
});

describe("a stack that is taken down", () => {
  test("goes with its last service, its volumes before it", async () => {
    const rig = await aRig();
    const stack = aStack("shop", { volumes: ["shop_data"] });
    await rig.commit(put.stack(stack), put.service(aService()));
    await rig.report("running", "1");
    await rig.commit(
      put.stack({ ...stack, removing: true, removeVolumes: true, version: stackVersion(rig) }),
      put.service({ ...stored(rig), removing: true }),
    );
    expect([rig.tasks(), rig.disk.view.stacks.size]).toEqual([["1 removed running"], 1]);
    await rig.report("removed", "1");
    expect([rig.disk.view.tasks.size, rig.disk.view.services.size]).toEqual([0, 0]);
    expect([rig.disk.view.stacks.size, rig.removedVolumes]).toEqual([0, ["shop_data"]]);
  });

  test("keeps its volumes unless that was asked for", async () => {
    const rig = await aRig();
    await rig.commit(put.stack(aStack("shop", { volumes: ["shop_data"], removing: true })));
    expect([rig.disk.view.stacks.size, rig.removedVolumes]).toEqual([0, []]);
  });
});

test("a server that starts takes up everything that is undone", async () => {
  const rig = new Rig();
  await rig.commit(put.service(aService()), put.stack(aStack("gone", { removing: true })));
  await rig.connect();
  expect(rig.tasks()).toEqual([]);
  rig.decide();
  await rig.pass(100);
  expect([rig.tasks(), rig.disk.view.stacks.size]).toEqual([["1 running assigned"], 0]);
});

test("a cluster in which nothing happens writes nothing", async () => {
  const rig = await aRig();
  await rig.commit(put.service(aService({ replicas: 3 })));
  await rig.report("running", "1", "2", "3");
  const { version } = rig.disk.view;
  await rig.pass(3_600_000);
  expect(rig.disk.view.version).toBe(version);
});

test("controllers that were closed decide nothing any more", async () => {
  const rig = await aRig();
  rig.controllers?.close();
  await rig.commit(put.service(aService()));
  expect(rig.tasks()).toEqual([]);
});

function stackVersion(rig: Rig): number {
  return rig.store.view().stacks.get("shop")?.version ?? 0;
}

describe("a service of higher priority", () => {
  test("has the room of a lower one, which waits and knows why", async () => {
    const rig = await aRig();
    const spec = { resources: reserving(3000) };
    await rig.commit(put.service(aService(spec, { id: anId("low"), name: "low" })));
    await rig.report("running", "1");
    const high = aService({ ...spec, priority: 7 }, { id: anId("high"), name: "high" });
    await rig.commit(put.service(high));
    const of = (name: string) => rig.store.view().tasksOf(anId(name));
    const [victim] = of("low");
    expect([victim?.desired, victim?.message]).toEqual([
      "shutdown",
      "makes room for shop/high.1, which has priority 7",
    ]);
    expect(of("high")[0]?.message).toBe("waits until 1 task on node n1 has ended");
    if (victim === undefined) throw new Error("there is a victim");
    const gone = { state: "shutdown", health: "none", message: "", since: 9 } as const;
    const ended = rig.dispatcher.report(anId("n1"), [{ taskId: victim.id, ...gone }]);
    await Promise.all([ended, rig.pass(100)]);
    expect(of("high").map(({ state }) => state)).toEqual(["assigned"]);
    const next = of("low").find(({ state }) => state === "pending");
    expect(next?.message).toBe("no node fits: 1 node has 1 cores free, not 3");
  });

  test("is followed by those that are to be near to one another, in turn", async () => {
    const rig = await aRig();
    const near = (service: string) => ({
      placement: {
        constraints: [],
        spread: [],
        maxReplicasPerNode: 0,
        affinity: [{ service, relation: "near", key: "node.id", required: true } as const],
      },
    });
    const named = (name: string, spec = {}) => aService(spec, { id: anId(name), name });
    await rig.commit(
      put.service(named("a", near("shop/b"))),
      put.service(named("b", near("shop/c"))),
      put.service(named("c")),
    );
    expect(rig.tasks()).toEqual(["1 running assigned", "1 running assigned", "1 running assigned"]);
  });
});

describe("a service that is spread anew when a node comes", () => {
  test("moves task by task, each started before the old one ends", async () => {
    const rig = await aRig();
    const spec = { replicas: 4, rebalance: "gentle" as const };
    const update = { order: "start-first", parallelism: 1, delayMs: 0 } as const;
    await rig.commit(put.service(aService({ ...spec, update })));
    await rig.report("running", "1", "2", "3", "4");
    await rig.commit(put.node(aNode("n2", { since: rig.clock.now() })));
    rig.health.noteSession(anId("n2"), "connected");
    await rig.pass(59_000);
    const placed = () =>
      [...rig.disk.view.tasks.values()].map(({ nodeId = "" }) => nodeId.slice(0, 2)).sort();
    expect(placed()).toEqual(["n1", "n1", "n1", "n1"]);
    await rig.pass(3000);
    const moving = ["n1", "n1", "n1", "n1", "n2"];
    expect(placed()).toEqual(moving);
    await rig.pass(200_000);
    expect(placed()).toEqual(moving);
  });
});
