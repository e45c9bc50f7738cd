import { describe, expect, test } from "bun:test";
import { planRebalance } from "../../../../src/core/scheduler/rebalance.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Node } from "../../../../src/model/node.ts";
import type { Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aNode, aService, aTask, aView, anId, reserving } from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

const NOW = 1_000_000;
const gentle = (spec: Partial<ServiceSpec> = {}) => aService({ rebalance: "gentle", ...spec });

/** Tasks of the service: so many on each node, the first of each the oldest. */
function spread(service: Service, counts: Record<string, number>): Task[] {
  const names = Object.entries(counts).flatMap(([node, count]) =>
    Array.from({ length: count }, () => node),
  );
  return names.map((node, i) =>
    aTask(service, `t${i + 1}`, { slot: String(i + 1), nodeId: anId(node), createdAt: i }),
  );
}

function plan(service: Service, tasks: Task[], nodes: Node[], now = NOW): string {
  const view = aView({ nodes, services: [service], tasks });
  const { move, wakeAt } = planRebalance(view, service, now, seededRandom("s"));
  if (move !== undefined) return `${shortId(move.task.id)}: ${move.reason}`;
  return wakeAt === undefined ? "nothing" : `look again at ${wakeAt}`;
}

describe("a service that is spread anew", () => {
  const nodes = [aNode("n1"), aNode("n2")];
  const move = (task: string, node: string) =>
    `${task}: moves to balance: node ${node} has fewer tasks of the service`;

  test("moves its youngest task from the fullest node to an emptier one", () => {
    const service = gentle();
    expect(plan(service, spread(service, { n1: 3 }), nodes)).toBe(move("t3", "n2"));
    expect(plan(service, spread(service, { n1: 2 }), nodes)).toBe(move("t2", "n2"));
  });

  test("moves nothing for a difference of one, or unless it asks for it", () => {
    const service = gentle();
    expect(plan(service, spread(service, { n1: 2, n2: 1 }), nodes)).toBe("nothing");
    expect(plan(aService(), spread(aService(), { n1: 4 }), nodes)).toBe("nothing");
    const packed = gentle({
      placement: { constraints: [], spread: [], maxReplicasPerNode: 0, strategy: "binpack" },
    });
    expect(plan(packed, spread(packed, { n1: 4 }), nodes)).toBe("nothing");
    const global = gentle({ mode: "global" });
    expect(plan(global, spread(global, { n1: 4 }), nodes)).toBe("nothing");
  });

  test("evens out zones before the nodes in them", () => {
    const zoned = ["n1", "n2", "n3"].map((name) =>
      aNode(name, { labels: { zone: name === "n3" ? "south" : "north" } }),
    );
    const placement = { constraints: [], spread: ["node.labels.zone"], maxReplicasPerNode: 0 };
    const service = gentle({ placement });
    expect(plan(service, spread(service, { n1: 2, n2: 1, n3: 1 }), zoned)).toBe(move("t2", "n3"));
    expect(plan(service, spread(service, { n1: 1, n2: 1, n3: 1 }), zoned)).toBe("nothing");
    expect(plan(service, spread(service, { n1: 2, n3: 2 }), zoned)).toBe(move("t2", "n2"));
    expect(plan(service, spread(service, { n1: 3, n2: 1, n3: 4 }), zoned)).toBe(move("t3", "n2"));
  });

  test("waits until the node has been there, and all its tasks, for a minute", () => {
    const service = gentle();
    const back = [aNode("n1"), aNode("n2", { since: NOW - 10_000 })];
    expect(plan(service, spread(service, { n1: 3 }), back)).toBe(`look again at ${NOW + 50_000}`);
    const fresh = spread(service, { n1: 2 }).map((task) => ({ ...task, createdAt: NOW - 1000 }));
    expect(plan(service, fresh, nodes)).toBe(`look again at ${NOW + 59_000}`);
    const ahead = [aNode("n1"), aNode("n2", { since: NOW + 86_400_000 })];
    expect(plan(service, spread(service, { n1: 3 }), ahead)).toBe(move("t3", "n2"));
  });

  test("waits while something of it is under way", () => {
    const service = gentle();
    const tasks = spread(service, { n1: 3 });
    const [first, ...others] = tasks;
    if (first === undefined) throw new Error("there is a first task");
    const later = `look again at ${NOW + 60_000}`;
    for (const over of [
      { desired: "shutdown" },
      { health: "starting" },
      { state: "starting" },
      { leave: "moves to balance" },
      { slot: "2" },
    ] satisfies Partial<Task>[]) {
      expect([over, plan(service, [{ ...first, ...over }, ...others], nodes)]).toEqual([
        over,
        later,
      ]);
    }
  });

  test("stays where the scheduler would put it nowhere better", () => {
    const service = gentle({ resources: reserving(1000) });
    const tight = [
      aNode("n1"),
      aNode("n2", { resources: { cpuMillis: 500, memoryBytes: 2 ** 30 } }),
    ];
    expect(plan(service, spread(service, { n1: 3 }), tight)).toBe("nothing");
    const paused = [aNode("n1"), aNode("n2", { availability: "pause" })];
    expect(plan(service, spread(service, { n1: 3 }), paused)).toBe("nothing");
  });
});
