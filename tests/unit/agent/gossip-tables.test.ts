import { afterEach, test } from "bun:test";
import { Membership } from "../../../src/agent/membership.ts";
import { NetworkTable } from "../../../src/agent/network-table.ts";
import type { OwnTask } from "../../../src/core/network/merge-map.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { until } from "../../conformance/runtime-until.ts";
import { aMapNode, aMapTask, aNetworkChange, anId } from "../../builders.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).toReversed()) await one();
});

const nodes = [aMapNode("n1"), aMapNode("n2"), aMapNode("n3")];

/** A node without a server: what it knows of the network, and its part in real gossip. */
async function aNode(name: string) {
  const own: { tasks: OwnTask[] } = { tasks: [] };
  const table = new NetworkTable({
    self: aMapNode(name),
    clock: systemClock,
    log: silentLog,
    memory: { networkMap: () => undefined, saveNetworkMap: () => {} },
    ownTasks: () => own.tasks,
    isLed: () => false,
  });
  const membership = await Membership.start({
    name: anId(name),
    tags: { name },
    bind: { host: "127.0.0.1", port: 0 },
    address: "127.0.0.1",
    gossipKeys: [Buffer.alloc(32, 7).toString("base64")],
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onChange: (change) => table.noteMember(change),
    onNotice: (notice) => table.hear(notice),
  });
  undo.push(() => {
    membership.close();
    table.close();
  });
  table.take({ since: () => aNetworkChange({ nodes, tasks: [] }) });
  table.announceBy(membership);
  const ready = () =>
    table.current().tasks.flatMap(({ id, isReady }) => (isReady ? id.replace(/x+$/, "") : []));
  const setOwn = (...tasks: OwnTask[]) => {
    own.tasks = tasks;
    table.refreshOwn();
  };
  return { membership, table, ready, setOwn };
}

function anOwnTask(name: string, node: number): OwnTask {
  const { networks: _, ports: __, ...task } = aMapTask(name, { address: `10.210.${node}.2` });
  return { ...task, stack: "shop", service: "web", ports: [] };
}

test("nodes know each other's tasks by gossip alone, also what they missed", async () => {
  const [n1, n2] = [await aNode("n1"), await aNode("n2")];
  await n2.membership.meet(n1.membership.peers(1));
  n1.setOwn(anOwnTask("a", 1));
  await until("n2 to know of a", () => n2.ready().join() === "a");
  n2.setOwn(anOwnTask("b", 2));
  await until("n1 to know of b", () => n1.ready().toSorted().join() === "a,b");
  const n3 = await aNode("n3");
  await n3.membership.meet(n2.membership.peers(1));
  await until("n3 to be told what it missed", () => n3.ready().toSorted().join() === "a,b");
  n1.setOwn();
  await until("a to be over everywhere", () => {
    return [...n2.ready(), ...n3.ready()].join() === "b,b";
  });
  await n2.membership.leave();
  await until("b to be out with its node", () => n1.ready().length + n3.ready().length === 0);
});
