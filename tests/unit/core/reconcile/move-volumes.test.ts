import { describe, expect, test } from "bun:test";
import {
  moveChanges,
  servesAt,
  whyNoMove,
  withBrokenOff,
  withComing,
  withMovedToRemove,
} from "../../../../src/core/reconcile/move-volumes.ts";
import { planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { put } from "../../../../src/model/change.ts";
import type { ServiceSpec } from "../../../../src/model/service.ts";
import {
  aContainer,
  anId,
  aNode,
  aService,
  aTask,
  aView,
  aVolumeMount,
} from "../../../builders.ts";

const MOVE = { names: ["data"], from: anId<"node">("n1"), to: anId<"node">("n2") };

function aWorld(over: Partial<ServiceSpec> = {}, mounts = [aVolumeMount("data")]) {
  const service = aService(
    { container: aContainer({ mounts }), ...over },
    { homes: { "1": MOVE.from } },
  );
  const task = aTask(service, "t");
  return {
    service,
    task,
    view: aView({ nodes: [aNode("n1"), aNode("n2")], services: [service], tasks: [task] }),
  };
}

describe("volumes that move", () => {
  test("make the other node their home, and end what used them on the first", () => {
    const { view, service } = aWorld();
    expect(whyNoMove(view, MOVE)).toBeUndefined();
    view.apply(moveChanges(view, MOVE, 5000), 2);
    expect(view.services.get(service.id)?.homes).toEqual({ "1": MOVE.to });
    expect(view.tasks.get(anId("t"))?.desired).toBe("removed");
    expect(view.nodes.get(MOVE.from)?.volumesMoved).toEqual([{ name: "data", to: MOVE.to }]);
  });

  test("have no second task before the first has ended, and no other home for it", () => {
    const { view, service } = aWorld();
    view.apply(moveChanges(view, MOVE, 5000), 2);
    const { actions } = planService(view, service.id, 6000, seededRandom("plan"));
    expect(actions.filter(({ type }) => type !== "stopTask")).toEqual([]);
    expect(view.services.get(service.id)?.homes).toEqual({ "1": MOVE.to });
  });

  test("go on the first node only when they are used on the other", () => {
    const { view, service, task } = aWorld();
    view.apply(moveChanges(view, MOVE, 5000), 2);
    const source = () => view.nodes.get(MOVE.from) ?? aNode("n1");
    expect(withMovedToRemove(view, source())).toBe(source());
    view.apply([put.task({ ...task, state: "removed", desired: "removed", version: 2 })], 3);
    expect(withMovedToRemove(view, source())).toBe(source());
    expect(servesAt(view, MOVE.names, MOVE.to)).toBe(false);
    view.apply([put.task(aTask(service, "u", { nodeId: MOVE.to, attempt: 2 }))], 4);
    expect(servesAt(view, MOVE.names, MOVE.to)).toBe(true);
    const after = withMovedToRemove(view, source());
    expect([after.volumesToRemove, after.volumesMoved]).toEqual([["data"], undefined]);
  });

  test("that broke off leave nothing of their copies", () => {
    const node = withComing(aNode("n2"), ["data"]);
    expect(node.volumesComing).toEqual(["data"]);
    const after = withBrokenOff(node, ["data"]);
    expect([after.volumesComing, after.volumesToRemove]).toEqual([undefined, ["data"]]);
  });

  test("leave other slots alone where each slot has a volume of its own", () => {
    const container = aContainer({ mounts: [aVolumeMount("data-{{.Task.Slot}}")] });
    const homes = { "1": MOVE.from, "2": MOVE.from };
    const service = aService({ container, replicas: 2 }, { homes });
    const tasks = ["1", "2"].map((slot) => aTask(service, `t${slot}`, { slot }));
    const view = aView({ nodes: [aNode("n1"), aNode("n2")], services: [service], tasks });
    const move = { ...MOVE, names: ["data-2"] };
    expect(whyNoMove(view, move)).toBeUndefined();
    view.apply(moveChanges(view, move, 5000), 2);
    expect(view.services.get(service.id)?.homes).toEqual({ "1": MOVE.from, "2": MOVE.to });
    expect(tasks.map(({ id }) => view.tasks.get(id)?.desired)).toEqual(["running", "removed"]);
    const source = () => view.nodes.get(MOVE.from) ?? aNode("n1");
    expect(withMovedToRemove(view, source())).toBe(source());
    expect(servesAt(view, move.names, MOVE.to)).toBe(false);
  });

  const refusals: [string, string | undefined, ReturnType<typeof aWorld>["view"]][] = [
    ["to a node that takes no tasks", "takes no tasks", drained()],
    ["of a global service", "each node has a volume of its own", aWorld({ mode: "global" }).view],
    [
      "without another volume of the same service",
      "uses the volume logs as well",
      aWorld({}, [aVolumeMount("data"), { ...aVolumeMount("logs"), target: "/logs" }]).view,
    ],
    [
      "to where the service can't run",
      "does not meet node.hostname == n1",
      aWorld({
        placement: {
          constraints: [{ key: "node.hostname", operator: "==", value: "n1" }],
          spread: [],
          maxReplicasPerNode: 0,
        },
      }).view,
    ],
  ];
  for (const [what, why, view] of refusals) {
    test(`stay where they are when asked to move ${what}`, () => {
      expect(whyNoMove(view, MOVE)).toContain(why ?? "");
    });
  }

  test("stay where they are when they are called by their node or task", () => {
    for (const [name, called] of [
      ["n1", "{{.Node.Hostname}}"],
      [`of-${anId("t")}`, "of-{{.Task.ID}}"],
    ] as const) {
      const { view } = aWorld({}, [aVolumeMount(called)]);
      expect(whyNoMove(view, { ...MOVE, names: [name] })).toContain("goes by node or task");
    }
  });

  test("stay where they are when that is where they are to be", () => {
    expect(whyNoMove(aWorld().view, { ...MOVE, to: MOVE.from })).toContain("already");
  });
});

function drained() {
  const { service, task } = aWorld();
  const nodes = [aNode("n1"), aNode("n2", { availability: "drain" })];
  return aView({ nodes, services: [service], tasks: [task] });
}
