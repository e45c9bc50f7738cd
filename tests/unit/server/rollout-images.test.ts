import { expect, test } from "bun:test";
import { silentLog } from "../../../src/lib/log.ts";
import { put } from "../../../src/model/change.ts";
import type { Service } from "../../../src/model/service.ts";
import { revise } from "../../../src/model/revise.ts";
import { specOf } from "../../../src/model/service.ts";
import { RolloutImages } from "../../../src/server/rollout-images.ts";
import { aNode, aService, aTask, anId } from "../../builders.ts";
import { MemoryStore } from "../api/fixture.ts";

/** A service with a task on each of two nodes; a third one has nothing of it. */
async function aCluster() {
  const store = new MemoryStore();
  const fetched: string[] = [];
  const images = new RolloutImages({
    store,
    log: silentLog,
    session: (nodeId) => ({
      async fetchImages(references) {
        fetched.push(...references.map((reference) => `${nodeId} ${reference}`));
        if (nodeId === anId("n1")) throw new Error("its link is closed");
        return [];
      },
    }),
  });
  const service = aService();
  const tasks = ["n1", "n2", "n2"].map((node, at) => {
    return aTask(service, `t${at}`, { state: "running", nodeId: anId<"node">(node) });
  });
  const nodes = ["n1", "n2", "n3"].map((name) => put.node(aNode(name)));
  await store.commit([...nodes, put.service(service), ...tasks.map(put.task)]);
  const change = async (to: Partial<Service["revisions"][number]["spec"]["container"]>) => {
    const now = store.view().services.get(service.id);
    if (now === undefined) throw new Error("the service is there");
    const spec = specOf(now);
    const container = { ...spec.container, ...to };
    const next = revise(now, { ...spec, container }, 5, store.view().tasksOf(service.id));
    await store.commit([put.service(next)]);
    return next;
  };
  return { store, fetched, images, change };
}

test("all nodes that hold slots get the image of a rollout, once and at its start", async () => {
  const { store, fetched, images, change } = await aCluster();
  expect(fetched).toEqual([]);
  const changed = await change({ image: "localhost/web:2" });
  const all = [`${anId("n1")} localhost/web:2`, `${anId("n2")} localhost/web:2`];
  expect(fetched).toEqual(all);
  const again = store.view().services.get(changed.id);
  await store.commit(again === undefined ? [] : [put.service(again)]);
  expect(fetched).toEqual(all);
  images.close();
  await change({ image: "localhost/web:3" });
  expect(fetched).toEqual(all);
});

test("a rollout with the same image, or without one, sends nothing ahead", async () => {
  const { fetched, change } = await aCluster();
  await change({ hostname: "other" });
  await change({ runtime: "process", image: "none" });
  expect(fetched).toEqual([]);
});
