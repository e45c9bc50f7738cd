import { describe, expect, test } from "bun:test";
import { VOLUMES_TO_REMOVE_MAX } from "../../../src/model/node.ts";
import { withVolumesToRemove } from "../../../src/core/reconcile/node.ts";
import { put } from "../../../src/model/change.ts";
import type { Node } from "../../../src/model/node.ts";
import { aContainer, aNode, aService, aStack, aTask, aVolumeMount, anId } from "../../builders.ts";
import { Rig } from "./rig.ts";

const N1 = anId<"node">("n1");
const agent = { roles: { server: false, agent: true } };
const stack = aStack("shop", { volumes: ["shop_data"], removing: true, removeVolumes: true });
const container = aContainer({ mounts: [aVolumeMount("shop_data")] });

/** Node n1 with what it still has to remove. */
function owed(rig: Rig): Node["volumesToRemove"] {
  return rig.disk.view.nodes.get(N1)?.volumesToRemove;
}

/** A cluster whose only node is down, after its stack was taken down with the volumes. */
async function afterDown(): Promise<Rig> {
  const rig = new Rig();
  rig.decide();
  await rig.commit(put.node(aNode("n1", { ...agent, health: "down" })), put.stack(stack));
  await rig.pass(1000);
  return rig;
}

/** The node is back, for a moment already. */
async function back(rig: Rig): Promise<void> {
  await rig.connect();
  await rig.pass(1000);
}

describe("volumes that a stack leaves on a node that is down", () => {
  test("hold back nobody, and go when the node is back", async () => {
    const rig = await afterDown();
    expect([rig.disk.view.stacks.size, owed(rig), rig.removedVolumes]).toEqual([
      0,
      ["shop_data"],
      [],
    ]);
    await back(rig);
    expect([owed(rig), rig.removedVolumes]).toEqual([undefined, ["shop_data"]]);
  });

  test("are remembered by a server that starts anew", async () => {
    const rig = await afterDown();
    rig.controllers?.close();
    await rig.connect();
    expect(rig.removedVolumes).toEqual([]);
    rig.decide();
    await rig.pass(100);
    expect([owed(rig), rig.removedVolumes]).toEqual([undefined, ["shop_data"]]);
  });

  test("are asked for again while a task that leaves may hold them", async () => {
    const rig = await afterDown();
    let tries = 0;
    rig.removeVolumes = async () => {
      if (++tries < 3) throw new Error("the volume shop_data may still be in use");
    };
    await back(rig);
    expect([tries, owed(rig)]).toEqual([1, ["shop_data"]]);
    await rig.pass(20_000);
    expect([tries, owed(rig)]).toEqual([3, undefined]);
  });

  test("are not given to a new stack of that name before they are gone", async () => {
    const rig = await afterDown();
    rig.removeVolumes = async () => {
      throw new Error("the volume shop_data may still be in use");
    };
    await rig.connect();
    await rig.commit(put.service(aService({ container })));
    expect(rig.tasks()).toEqual(["1 running pending"]);
    rig.removeVolumes = async () => {};
    await rig.pass(10_000);
    expect(rig.tasks()).toEqual(["1 running assigned"]);
  });

  test("stay where a task of another stack holds them", async () => {
    const rig = await afterDown();
    const other = aService({ container }, { id: anId("db"), stack: "other", name: "db" });
    await rig.commit(put.service(other), put.task(aTask(other, "t")));
    await back(rig);
    expect([owed(rig), rig.removedVolumes]).toEqual([undefined, []]);
  });

  test("are so many at most that the node stays small", () => {
    const many = Array.from({ length: VOLUMES_TO_REMOVE_MAX + 1 }, (_, i) => `v${i}`);
    const { volumesToRemove } = withVolumesToRemove(aNode(), many);
    expect([volumesToRemove?.length, volumesToRemove?.[0]]).toEqual([VOLUMES_TO_REMOVE_MAX, "v1"]);
  });
});

test("a node that is connected and does not answer holds back the end of no stack", async () => {
  const rig = new Rig();
  rig.decide();
  await rig.commit(put.node(aNode("n1", agent)));
  await rig.connect();
  rig.removeVolumes = () => new Promise(() => {});
  await rig.commit(put.stack(stack));
  await rig.pass(10_000);
  expect([rig.disk.view.stacks.size, owed(rig)]).toEqual([0, ["shop_data"]]);
});
