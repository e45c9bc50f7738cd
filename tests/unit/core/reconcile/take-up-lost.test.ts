import { describe, expect, test } from "bun:test";
import { takeUpLost } from "../../../../src/core/reconcile/take-up-lost.ts";
import { planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Assignment } from "../../../../src/model/assignment.ts";
import { currentRevision, specOf, type Service } from "../../../../src/model/service.ts";
import type { View } from "../../../../src/model/view.ts";
import {
  aContainer,
  anAssignment,
  anId,
  aNode,
  aService,
  aSpec,
  aStack,
  aTask,
  aView,
  type World,
} from "../../../builders.ts";

const NODE = anId<"node">("n1");

/** A task that its node was told to run and the view has never heard of. */
function held(name: string, over: Partial<Assignment> = {}): Assignment {
  const { id, stack, name: service } = aService();
  const of = { serviceId: id, stack, service, slot: "1", revision: 1 };
  const { container, restart } = aSpec();
  return anAssignment(name, { ...of, container, restart, desired: "running", ...over });
}

/** The view after node n1 has told of what it holds. */
function after(world: World, assignments: readonly Assignment[]): View {
  const view = aView(world);
  const changes = takeUpLost(view, NODE, assignments, 5000);
  view.apply(changes, view.version + 1);
  return view;
}

function serviceIn(view: View): Service {
  const service = view.serviceNamed("shop", "web");
  if (service === undefined) throw new Error("there is no service shop/web");
  return service;
}

/** Tasks that the next look at the service would stop. */
function stoppedBy(view: View): string[] {
  const { actions } = planService(view, serviceIn(view).id, 60_000, seededRandom("plan"));
  return actions.flatMap((action) => (action.type === "stopTask" ? [action.taskId] : []));
}

const NODES = [aNode("n1"), aNode("n2")];

describe("a cluster that was put back from a backup", () => {
  test("knows the newer tasks of its nodes, and stops none of them", () => {
    const service = aService();
    const old = aTask(service, "old", { nodeId: NODE, state: "running" });
    const view = after({ nodes: NODES, services: [service], tasks: [old] }, [held("new")]);
    const taken = view.tasks.get(anId("new"));
    expect(taken).toMatchObject({ desired: "running", state: "assigned", nodeId: NODE, slot: "1" });
    expect(taken?.attempt).toBeGreaterThan(old.attempt);
    expect(view.tasks.get(old.id)).toMatchObject({ state: "lost", desired: "shutdown" });
    expect(stoppedBy(view)).toEqual([]);
  });

  test("lets the older task of a slot end where it is on another node", () => {
    const service = aService();
    const old = aTask(service, "old", { nodeId: anId("n2"), state: "running" });
    const view = after({ nodes: NODES, services: [service], tasks: [old] }, [held("new")]);
    expect(view.tasks.get(old.id)).toMatchObject({ state: "running", desired: "shutdown" });
    expect(view.tasks.get(anId("new"))?.desired).toBe("running");
  });

  test("learns a later revision from the tasks that are of it", () => {
    const service = aService();
    const container = aContainer({ image: "web:9" });
    const told = [held("new", { revision: 7, container })];
    const view = after({ nodes: NODES, services: [service] }, told);
    const learned = serviceIn(view);
    expect(currentRevision(learned).revision).toBe(7);
    expect(specOf(learned).container.image).toBe("web:9");
    expect(learned.templateRevision).toBe(7);
    expect(learned.revisions.map(({ revision }) => revision)).toEqual([7, 1]);
    expect(stoppedBy(view)).toEqual([]);
  });

  test("learns a later revision that needs no new tasks", () => {
    const view = after({ nodes: NODES, services: [aService()] }, [held("new", { revision: 3 })]);
    expect(serviceIn(view)).toMatchObject({ templateRevision: 1 });
    expect(currentRevision(serviceIn(view)).revision).toBe(3);
    expect(stoppedBy(view)).toEqual([]);
  });

  test("has as many slots again as the service had been scaled to", () => {
    const view = after({ nodes: NODES, services: [aService()] }, [
      held("one"),
      held("three", { slot: "3" }),
    ]);
    expect(specOf(serviceIn(view)).replicas).toBe(3);
    expect(stoppedBy(view)).toEqual([]);
  });

  test("knows services again that came after the backup", () => {
    const view = after({ nodes: NODES }, [held("one"), held("two", { slot: "2" })]);
    expect(view.stacks.has("shop")).toBe(true);
    expect(specOf(serviceIn(view))).toMatchObject({ mode: "replicated", replicas: 2 });
    expect(stoppedBy(view)).toEqual([]);
  });

  test("knows a global service by the name of its slot", () => {
    const view = after({ nodes: NODES }, [held("one", { slot: NODE })]);
    expect(specOf(serviceIn(view)).mode).toBe("global");
    expect(stoppedBy(view)).toEqual([]);
  });

  test("takes up nothing of a service that was being removed, and nothing that was to end", () => {
    const removing = aService({}, { removing: true });
    const world = { nodes: NODES, stacks: [aStack("shop")], services: [removing] };
    expect(takeUpLost(aView(world), NODE, [held("new")], 5000)).toEqual([]);
    const ending = [held("new", { desired: "shutdown" })];
    expect(takeUpLost(aView({ nodes: NODES, services: [aService()] }), NODE, ending, 5000)).toEqual(
      [],
    );
  });

  test("takes up no runs of jobs", () => {
    const run = [held("new", { slot: "1@7" })];
    expect(takeUpLost(aView({ nodes: NODES }), NODE, run, 5000)).toEqual([]);
  });

  test("keeps a task that its node was not told of yet", () => {
    const service = aService();
    const task = aTask(service, "t", { nodeId: NODE, state: "assigned" });
    expect(
      takeUpLost(aView({ nodes: NODES, services: [service], tasks: [task] }), NODE, [], 5),
    ).toEqual([]);
  });
});
