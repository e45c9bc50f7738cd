import { expect, test } from "bun:test";
import { unmetWishes } from "../../src/core/scheduler/affinity.ts";
import { candidateOf } from "../../src/core/scheduler/candidate.ts";
import { ClusterLoad } from "../../src/core/scheduler/cluster-load.ts";
import { refusalOf } from "../../src/core/scheduler/filters.ts";
import { loadOf } from "../../src/core/scheduler/load.ts";
import { schedule } from "../../src/core/scheduler/schedule.ts";
import { newId } from "../../src/lib/ids.ts";
import { sortedBy } from "../../src/lib/order.ts";
import { seededRandom, systemRandom, type Random } from "../../src/lib/random.ts";
import { put, remove, type Applied, type Change } from "../../src/model/change.ts";
import { nodeValue } from "../../src/model/constraint.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { Node } from "../../src/model/node.ts";
import { revise } from "../../src/model/revise.ts";
import { specOf } from "../../src/model/service.ts";
import { isLive, TASK_STATES, type Task } from "../../src/model/task.ts";
import type { MemoryView } from "../../src/model/view.ts";
import { aNode, aPort, reserving } from "../builders.ts";
import { between, happens, oneOf } from "../sim/chance.ts";
import { drawWorld } from "./worlds.ts";

const fresh = process.env["SEED"] ?? newId<"seed">(systemRandom);
console.log(`fresh seed: ${fresh} (again: SEED=${fresh})`);
const seeds = Array.from({ length: 200 }, (_, i) => [`fixed ${i}`, `${fresh} ${i}`]).flat();

const pendingIn = (view: MemoryView) =>
  [...view.tasks.values()].filter((task) => task.state === "pending" && isLive(task));

/** What loads say, in an order of its own. */
function textOf(load: ClusterLoad, view: MemoryView): string[] {
  const ids = [...view.nodes.keys(), ...[...view.tasks.values()].flatMap((t) => t.nodeId ?? [])];
  const services = [...view.services.keys()].sort();
  return [...new Set(ids)].sort().map((id) => {
    const at = load.get(id);
    const counts = services.map((service) => (at && load.countsOf(service).get(at)) ?? 0);
    const maps = [
      at?.load.tasksByService,
      at?.load.hostPorts,
      at?.load.failures,
      at?.load.generic,
      at?.load.devices,
    ];
    const { cpuMillis, memoryBytes, tasks, addresses } = at?.load ?? loadOf(view, id);
    const sums = [
      cpuMillis,
      memoryBytes,
      tasks,
      addresses,
      load.columns.used[at?.index ?? -1] ?? 0,
    ];
    return JSON.stringify([
      id,
      sums,
      counts,
      maps.map((map) => sortedBy<[string, number]>(map ?? [], ([key]) => key)),
    ]);
  });
}

/** Any change at all, also one that nobody would make. */
function drawChange(view: MemoryView, random: Random): Change[] {
  const some = <T>(items: Iterable<T>) => [...items][between(random, 0, 9)];
  const task = some(view.tasks.values());
  const service = some(view.services.values());
  const node = some(view.nodes.values());
  switch (between(random, 0, 5)) {
    case 0:
      return task === undefined ? [] : [remove.task(task)];
    case 1:
      return node === undefined ? [] : [remove.node(node)];
    case 2:
      return [put.node(aNode(`n${between(random, 0, 5)}`, sizeOf(random)))];
    case 3: {
      if (service === undefined) return [];
      if (happens(random, 0.1)) return [remove.service(service)];
      const ports = happens(random, 0.5) ? [aPort({ mode: "host" })] : [];
      const resources = reserving(between(random, 0, 5) * 100);
      const kept = happens(random, 0.5) ? view.tasksOf(service.id) : [];
      return [put.service(revise(service, { ...specOf(service), ports, resources }, 1, kept))];
    }
    default: {
      if (task === undefined) return [];
      const state = oneOf(random, TASK_STATES);
      const desired = oneOf(random, ["prepared", "running", "shutdown"] as const);
      return [
        put.task({ ...task, state, desired, ...(node === undefined ? {} : { nodeId: node.id }) }),
      ];
    }
  }
}

function sizeOf(random: Random): Partial<Node> {
  return { resources: { cpuMillis: between(random, 1, 9) * 1000, memoryBytes: 2 ** 30 } };
}

test("loads that follow a view are those that are counted anew", () => {
  for (const seed of seeds) {
    const random = seededRandom(seed);
    const view = drawWorld(random);
    const { load } = ClusterLoad.follow(view);
    let last: { applied: Applied[]; version: number } | undefined;
    for (let i = 0; i < 20; i++) {
      if (last !== undefined && happens(random, 0.2)) {
        view.revert(last.applied, last.version);
        last = undefined;
      } else {
        const { version } = view;
        last = { applied: view.apply(drawChange(view, random), version + 1), version };
      }
      const anew = textOf(ClusterLoad.of(view), view);
      expect([seed, i, ...textOf(load, view)]).toEqual([seed, i, ...anew]);
    }
    for (const id of view.nodes.keys()) expect(load.get(id)?.load).toEqual(loadOf(view, id));
  }
});

test("a run leaves the loads as they were, and answers the same from kept loads", () => {
  for (const seed of seeds) {
    const view = drawWorld(seededRandom(seed));
    const { load } = ClusterLoad.follow(view);
    const before = textOf(load, view);
    const once = schedule(view, pendingIn(view), seededRandom(seed), { load });
    expect(textOf(load, view)).toEqual(before);
    expect(once).toEqual(schedule(view, pendingIn(view), seededRandom(seed)));
  }
});

test("each task goes to one of the best nodes that fit, by the rules told one by one", () => {
  for (const seed of seeds) {
    const view = drawWorld(seededRandom(seed));
    const isOutOfTouch = (id: NodeId) => id.charCodeAt(1) % 3 === 0;
    const tasks = pendingIn(view);
    const { placements } = schedule(view, tasks, seededRandom(seed), { isOutOfTouch });
    for (const { taskId, ...place } of placements) {
      const task = view.tasks.get(taskId);
      if (task === undefined) throw new Error(`${seed}: ${taskId} is not there`);
      expect([seed, taskId, bestNodes(view, task, isOutOfTouch)]).toEqual([
        seed,
        taskId,
        expect.arrayContaining([place.nodeId]),
      ]);
      view.apply([put.task({ ...task, ...place, state: "assigned" })], view.version + 1);
    }
  }
});

/** The nodes between which only the draw decides. */
function bestNodes(view: MemoryView, task: Task, isOutOfTouch: (id: NodeId) => boolean): NodeId[] {
  const service = view.services.get(task.serviceId);
  if (service === undefined) return [];
  const candidate = candidateOf(view, service, task);
  const own = (node: Node) => loadOf(view, node.id).tasksByService.get(service.id) ?? 0;
  const failures = (node: Node) =>
    loadOf(view, node.id).failures.get(`${service.id}/${task.revision}`) ?? 0;
  const wishes = (node: Node) => unmetWishes(candidate.bonds, node);
  // Whoever packs wants full nodes, whosever tasks they have.
  const isPacked = specOf(service).placement.strategy === "binpack";
  const sign = isPacked ? -1 : 1;
  let left = [...view.nodes.values()].filter(
    (node) => refusalOf(candidate, node, loadOf(view, node.id)) === undefined,
  );
  const keep = (score: (node: Node) => number) => {
    const least = Math.min(...left.map(score));
    left = left.filter((node) => score(node) === least);
  };
  keep((node) => (isOutOfTouch(node.id) ? 2 : failures(node) >= 2 ? 1 : 0));
  keep((node) => (isOutOfTouch(node.id) || failures(node) >= 2 ? 0 : wishes(node)));
  for (const key of specOf(service).placement.spread) {
    const alike = (node: Node) =>
      [...view.nodes.values()].filter((other) => nodeValue(other, key) === nodeValue(node, key));
    keep((node) => alike(node).reduce((sum, other) => sum + own(other), 0));
    // One of the groups that are as empty is taken: any of them may be.
    if (new Set(left.map((node) => nodeValue(node, key))).size > 1) return left.map((n) => n.id);
  }
  keep((node) => (isPacked ? 0 : own(node)));
  keep((node) => {
    const { cpuMillis, memoryBytes } = loadOf(view, node.id);
    const share = cpuMillis / node.resources.cpuMillis + memoryBytes / node.resources.memoryBytes;
    return sign * share;
  });
  keep((node) => sign * loadOf(view, node.id).tasks);
  return left.map((node) => node.id);
}
