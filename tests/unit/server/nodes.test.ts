import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/lib/random.ts";
import { put } from "../../../src/model/change.ts";
import type { Node } from "../../../src/model/node.ts";
import { Writes } from "../../../src/server/writes.ts";
import { aNode, aService, aStack, aTask, anId } from "../../builders.ts";
import { Rig } from "./rig.ts";

const N1 = anId<"node">("n1");
const service = aService();
const agent = { roles: { server: false, agent: true } };

/** Node n1, connected, with a task of its own, and node n2 beside it. */
async function cluster(over: Partial<Node> = {}) {
  const rig = new Rig();
  await rig.commit(
    put.node(aNode("n1", { ...agent, ...over })),
    put.node(aNode("n2", agent)),
    put.stack(aStack()),
    put.service(service),
    put.task(aTask(service, "t")),
  );
  const writes = new Writes(rig.store, rig.clock, seededRandom("writes"));
  /** What a call answers, once everything that follows from it has come to rest. */
  const ask = async (call: (writes: Writes) => Promise<void>): Promise<string> => {
    const answer = call(writes).then(
      () => "done",
      (error: Error) => error.message,
    );
    await rig.pass(100);
    return answer;
  };
  return { rig, ask };
}

describe("a node", () => {
  test("is for what people say", async () => {
    const { rig, ask } = await cluster();
    expect(await ask((writes) => writes.setAvailability(N1, "drain"))).toBe("done");
    expect(rig.disk.view.nodes.get(N1)?.availability).toBe("drain");
    const { version } = rig.disk.view;
    await ask((writes) => writes.setAvailability(N1, "drain"));
    expect(rig.disk.view.version).toBe(version);
    expect(await ask((writes) => writes.setAvailability(anId("n9"), "pause"))).toBe(
      "there is no node n9xxxxxxxxxx",
    );
  });

  test("has the labels that people set, and keeps the others", async () => {
    const { rig, ask } = await cluster({ labels: { zone: "north", disk: "ssd" } });
    const change = { set: { zone: "south", rack: "1" }, remove: ["disk", "gone"] };
    expect(await ask((writes) => writes.setLabels(N1, change))).toBe("done");
    expect(rig.disk.view.nodes.get(N1)?.labels).toEqual({ zone: "south", rack: "1" });
    const { version } = rig.disk.view;
    await ask((writes) => writes.setLabels(N1, change));
    expect(rig.disk.view.version).toBe(version);
    const many = Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`l${i}`, ""]));
    expect(await ask((writes) => writes.setLabels(N1, { set: many, remove: [] }))).toBe(
      "a node can have at most 128 labels",
    );
  });
});

test("a node's link is what people say of it", async () => {
  const { rig, ask } = await cluster();
  await ask((writes) => writes.setLink(N1, { bytesPerSecond: 10_000 }));
  expect(rig.disk.view.nodes.get(N1)?.link).toEqual({ bytesPerSecond: 10_000 });
  const { version } = rig.disk.view;
  await ask((writes) => writes.setLink(N1, { bytesPerSecond: 10_000, windows: [] }));
  expect(rig.disk.view.version).toBe(version);
  await ask((writes) => writes.setLink(N1, { bytesPerSecond: null }));
  expect(rig.disk.view.nodes.get(N1)?.link).toBeUndefined();
});

describe("a node that is removed", () => {
  test("must be drained or down before, unless it is forced", async () => {
    const { rig, ask } = await cluster();
    expect(await ask((writes) => writes.removeNode(N1, { force: false }))).toBe(
      "node n1 is ready and holds 1 task: drain it first, or remove it with --force",
    );
    expect(rig.disk.view.nodes.has(N1)).toBe(true);
    expect(await ask((writes) => writes.removeNode(N1, { force: true }))).toBe("done");
    expect(rig.disk.view.nodes.has(N1)).toBe(false);
  });

  test("is not the one that runs the server", async () => {
    const { ask } = await cluster({ roles: { server: true, agent: true } });
    expect(await ask((writes) => writes.removeNode(N1, { force: true }))).toBe(
      "node n1 runs the server: it can't be removed",
    );
  });

  test("loses its tasks at once, and their slots are filled elsewhere", async () => {
    const { rig, ask } = await cluster({ health: "down" });
    rig.decide();
    await rig.pass(100);
    expect(await ask((writes) => writes.removeNode(N1, { force: false }))).toBe("done");
    expect(rig.tasks()).toEqual(["1 running assigned", "1 shutdown lost"]);
    const fresh = [...rig.disk.view.tasks.values()].find((task) => task.state === "assigned");
    expect(fresh).toMatchObject({ nodeId: anId("n2"), failures: 0 });
  });

  test("is told to hold nothing, if it is there, and hears of nothing more", async () => {
    const { rig, ask } = await cluster();
    await rig.connect();
    await ask((writes) => writes.removeNode(N1, { force: true }));
    await Promise.all([rig.dispatcher.dismiss(N1), rig.pass(100)]);
    expect(rig.sets.map(({ assignments }) => assignments.length)).toEqual([1, 0, 0]);
    expect(rig.dispatcher.session(N1)).toBeUndefined();
  });
});

test("an agent whose node is not in the cluster is not taken in", async () => {
  const { rig } = await cluster();
  rig.dispatcher.setOwnNode(anId("n7"));
  const node = rig.disk.view.nodes.get(N1);
  if (node === undefined) throw new Error("n1 is there");
  await rig.commit({ kind: "node", op: "delete", key: N1, version: node.version });
  const hello = rig.connect().then(
    () => "taken in",
    (error: Error) => error.message,
  );
  await rig.pass(100);
  expect(await hello).toBe("node n1xxxxxxxxxx is not in the cluster: it has to join");
  expect(rig.disk.view.nodes.has(N1)).toBe(false);
});

test("an agent can give its node no other name, be it another node's or none", async () => {
  const { rig } = await cluster();
  rig.dispatcher.setOwnNode(anId("n7"));
  for (const hostname of ["n2", "\u001b[2J"]) {
    await rig.connect({ hostname });
    expect(rig.disk.view.nodes.get(N1)?.hostname).toBe("n1");
  }
});

test("a node that is back is told nothing of tasks that ended without it", async () => {
  const { rig } = await cluster({ health: "down", since: 0 });
  rig.decide();
  await rig.commit(put.service({ ...stored(rig), removing: true }));
  await rig.pass(1000);
  expect([rig.tasks(), [...rig.disk.view.services.keys()]]).toEqual([[], []]);
  await rig.connect();
  expect(rig.sets.map(({ assignments }) => assignments)).toEqual([[]]);
});

function stored(rig: Rig) {
  const found = rig.disk.view.services.get(service.id);
  if (found === undefined) throw new Error("the service is there");
  return found;
}
