import { describe, expect, test } from "bun:test";
import { schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Rollout } from "../../../../src/model/rollout.ts";
import type { ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aService,
  aTask,
  aView,
  anId,
  reserving,
  withNewImage,
} from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

const rollout: Rollout = {
  state: "running",
  from: 1,
  to: 2,
  startedAt: 0,
  slots: 4,
  canaries: [],
  failed: [],
  forgiven: [],
  message: "",
};
const NODES = [
  aNode("n1", { labels: { zone: "a" } }),
  aNode("n2", { labels: { zone: "b" } }),
  aNode("n3", { labels: { zone: "b" } }),
];

interface World {
  /** Where the old tasks are, by slot. */
  old: readonly string[];
  spec?: Partial<ServiceSpec>;
  over?: Partial<Task>;
  nodes?: typeof NODES;
  underWay?: boolean;
  seed?: string;
}

/** Where the new task of slot 1 is put. */
function placed({ old, spec, over, nodes = NODES, underWay = true, seed = "s" }: World): string {
  const before = aService(spec);
  const service = { ...withNewImage(before), ...(underWay ? { rollout } : {}) };
  const tasks = old.map((node, i) =>
    aTask(before, `o${i}`, { slot: String(i + 1), nodeId: anId(node), ...over }),
  );
  const next = aPendingTask(service, "new");
  const view = aView({ nodes, services: [service], tasks: [...tasks, next] });
  const [placement] = schedule(view, [next], seededRandom(seed)).placements;
  return placement === undefined ? "none" : shortId(placement.nodeId);
}

const SEEDS = Array.from({ length: 20 }, (_, i) => `seed ${i}`);
const placedByAll = (world: World) => new Set(SEEDS.map((seed) => placed({ ...world, seed })));

describe("a task that replaces another in a rollout", () => {
  test("follows it where the nodes are as full as each other, whatever the lot says", () => {
    expect(placedByAll({ old: ["n1", "n2", "n3"] })).toEqual(new Set(["n1"]));
    expect(placedByAll({ old: ["n1", "n2", "n3"], underWay: false }).size).toBeGreaterThan(1);
  });

  test("goes where fewer are, even without the one that it replaces", () => {
    expect(placed({ old: ["n1", "n1", "n2"] })).toBe("n3");
    expect(placed({ old: ["n1", "n1", "n2", "n3"] })).toBe("n1");
  });

  test("keeps to the preferences by which tasks are spread", () => {
    const placement = { constraints: [], spread: ["node.labels.zone"], maxReplicasPerNode: 0 };
    expect(placed({ old: ["n2", "n3", "n2"], spec: { placement } })).toBe("n1");
    expect(placedByAll({ old: ["n1", "n2"], spec: { placement } })).toEqual(new Set(["n1"]));
  });

  test("does not follow to a node that can't have it, or that the other one is to leave", () => {
    const full = { old: ["n1", "n2", "n3"], spec: { resources: reserving(3000) } };
    const [first, ...others] = NODES.map((node) => ({
      ...node,
      resources: { ...node.resources, cpuMillis: 8000 },
    }));
    expect(placed({ ...full, nodes: [NODES[0] ?? aNode(), ...others] })).not.toBe("n1");
    expect(placed({ ...full, nodes: [first ?? aNode(), ...others] })).toBe("n1");
    const drained = [aNode("n1", { availability: "drain" }), ...NODES.slice(1)];
    expect(placed({ old: ["n1", "n2", "n3"], nodes: drained })).not.toBe("n1");
    const leaving = placedByAll({ old: ["n1", "n2", "n3"], over: { leave: "to balance" } });
    expect(leaving.size).toBeGreaterThan(1);
  });

  test("goes where the least room is left, where the service is packed", () => {
    const placement = {
      constraints: [],
      spread: [],
      maxReplicasPerNode: 0,
      strategy: "binpack" as const,
    };
    expect(placed({ old: ["n1", "n2", "n2"], spec: { placement } })).toBe("n2");
  });
});
