import { describe, expect, test } from "bun:test";
import { MovingMap, type NetworkSource } from "../../../src/model/network-change.ts";
import { put } from "../../../src/model/change.ts";
import type { AgentSession } from "../../../src/model/session.ts";
import { NetworkFeed } from "../../../src/server/network-feed.ts";
import { aMapNode, aMapTask, aNode, anId, aService, aTask } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { Rig } from "./rig.ts";

const n1 = aNode("n1", { subnet: "10.210.1.0/24", address: "192.0.2.1" });
const n2 = aNode("n2", { subnet: "10.210.2.0/24", address: "192.0.2.2" });
const web = aService();
const task = aTask(web, "a", { address: "10.210.1.2" });

/** An agent as far as it hears of the network. */
class Listener {
  readonly session: AgentSession;
  readonly map = new MovingMap({ mode: "vxlan", range: "" });
  told = 0;

  constructor(name: string) {
    const network = (source: NetworkSource) => {
      this.told += 1;
      this.map.take(source.since(this.told === 1 ? undefined : this.map.generation));
    };
    // Nothing else of it is called here.
    this.session = { nodeId: anId("n1"), network } as Partial<AgentSession> as AgentSession;
    Object.assign(this.session, { nodeId: anId(name) });
  }
}

async function aFeed(...names: string[]) {
  const rig = new Rig();
  const listeners = names.map((name) => new Listener(name));
  await rig.commit(put.node(n1), put.node(n2), put.node(aNode("n3")), put.service(web));
  const feed = new NetworkFeed({
    store: rig.store,
    clock: rig.clock,
    sessions: () => listeners.map(({ session }) => session),
  });
  return { rig, feed, listeners };
}

describe("every node that has a network", () => {
  test("gets the map when its session begins, and what changes from then on", async () => {
    const { rig, feed, listeners } = await aFeed("n1", "n2");
    for (const { session } of listeners) feed.greet(session);
    expect(listeners.map(({ told }) => told)).toEqual([1, 1]);
    await rig.commit(put.task(task));
    await settled();
    for (const { map } of listeners) {
      expect([...map.nodes.values()]).toEqual([aMapNode("n1"), aMapNode("n2")]);
      expect([...map.tasks.values()]).toEqual([aMapTask("a")]);
    }
    feed.close();
  });

  test("hears once of all that was written together, and of nothing else", async () => {
    const { rig, feed, listeners } = await aFeed("n1");
    for (const { session } of listeners) feed.greet(session);
    const held = rig.store.view().nodes.get(n1.id) ?? n1;
    await rig.commit(put.node({ ...held, labels: { zone: "hall" } }));
    await settled();
    expect(listeners[0]?.told).toBe(1);
    const other = { ...task, id: anId<"task">("b"), address: "10.210.1.3" };
    await Promise.all([rig.commit(put.task(task)), rig.commit(put.task(other))]);
    await settled();
    expect([listeners[0]?.told, listeners[0]?.map.tasks.size]).toEqual([2, 2]);
    feed.close();
  });
});

test("a node without a network gets no map, until it has one", async () => {
  const { rig, feed, listeners } = await aFeed("n3");
  const [listener] = listeners;
  if (listener === undefined) throw new Error("there is one");
  feed.greet(listener.session);
  await rig.commit(put.task(task));
  await settled();
  expect(listener.told).toBe(0);
  const held = rig.store.view().nodes.get(anId("n3")) ?? aNode("n3");
  await rig.commit(put.node({ ...held, subnet: "10.210.3.0/24" }));
  await settled();
  expect([listener.told, listener.map.nodes.size]).toEqual([1, 3]);
  feed.close();
});
