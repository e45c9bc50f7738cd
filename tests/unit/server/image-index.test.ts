import { expect, test } from "bun:test";
import { silentLog } from "../../../src/lib/log.ts";
import { put, remove } from "../../../src/model/change.ts";
import type { ImageSummary } from "../../../src/model/session.ts";
import { ImageIndex } from "../../../src/server/image-index.ts";
import { aNode, aService, aTask, anId } from "../../builders.ts";
import { MemoryStore } from "../api/fixture.ts";

const nodeId = anId<"node">("n1");
const image = (...references: string[]): ImageSummary => {
  return { id: "i", references, sizeBytes: 1, createdAt: 0 };
};

test("a node has the images that its agent names, and those that ran there since", async () => {
  const store = new MemoryStore();
  const index = new ImageIndex({ store, log: silentLog });
  await index.learn({ nodeId, images: async () => [image("localhost/a:1", "localhost/a:2")] });
  const known = () =>
    ["localhost/a:2", "localhost/web:1", "localhost/b:1"].map((name) => index.has(nodeId, name));
  expect(known()).toEqual([true, false, false]);
  const service = aService();
  const task = aTask(service, "t", { state: "starting" });
  await store.commit([put.node(aNode()), put.service(service), put.task(task)]);
  expect(known()).toEqual([true, false, false]);
  await store.commit([put.task({ ...task, state: "running", version: 1 })]);
  expect(known()).toEqual([true, true, false]);
  const node = store.view().nodes.get(nodeId);
  await store.commit(node === undefined ? [] : [remove.node(node)]);
  expect(known()).toEqual([false, false, false]);
});

test("a node that can't say which images it has is none the worse for it", async () => {
  const index = new ImageIndex({ store: new MemoryStore(), log: silentLog });
  const images = () => Promise.reject(new Error("the runtime is away"));
  await index.learn({ nodeId, images });
  expect(index.has(nodeId, "localhost/a:1")).toBe(false);
});
