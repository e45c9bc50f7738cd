import { describe, expect, test } from "bun:test";
import { put, remove } from "../../../src/model/change.ts";
import { MemoryView } from "../../../src/model/view.ts";
import { aNode, aPendingTask, aService, aStack, aTask, aView, anId } from "../../builders.ts";

const service = aService();

describe("a view", () => {
  test("finds a service by its name, and the tasks of a service and of a node", () => {
    const tasks = [aTask(service, "a"), aPendingTask(service, "b")];
    const view = aView({ services: [service], tasks });
    expect(view.serviceNamed("shop", "web")?.id).toBe(service.id);
    expect(view.tasksOf(service.id).map((task) => task.id)).toEqual([anId("a"), anId("b")]);
    expect(view.tasksOn(anId("n1")).map((task) => task.id)).toEqual([anId("a")]);
    expect(view.servicesOf("shop")).toHaveLength(1);
  });

  test("follows a task to its node and forgets it with its end", () => {
    const pending = aPendingTask(service, "a");
    const view = aView({ services: [service], tasks: [pending] });
    view.apply([put.task({ ...pending, nodeId: anId("n1") })], 2);
    expect(view.tasksOn(anId("n1"))).toHaveLength(1);
    const placed = view.tasks.get(pending.id);
    view.apply(placed === undefined ? [] : [remove.task(placed)], 3);
    expect([view.tasks.size, view.tasksOn(anId("n1")), view.tasksOf(service.id)]).toEqual([
      0,
      [],
      [],
    ]);
  });

  test("gives what it stores the version of the commit", () => {
    const view = aView({ services: [service] });
    view.apply([put.stack(aStack())], 7);
    expect([view.version, view.stacks.get("shop")?.version]).toEqual([7, 7]);
    expect(view.services.get(service.id)?.version).toBe(1);
  });

  test("refuses a change that was planned on an object that moved since", () => {
    const view = aView({ services: [service] });
    const stale = put.service({ ...service, version: 0 });
    const fresh = put.service({ ...service, version: 1 });
    expect(view.conflictIn([fresh])).toBeUndefined();
    expect(view.conflictIn([fresh, stale])).toBe(stale);
    const gone = remove.service({ ...service, version: 9 });
    expect(view.conflictIn([gone])).toBe(gone);
    const unknown = put.node(aNode("n2", { version: 1 }));
    expect(view.conflictIn([unknown])).toBe(unknown);
  });

  test("takes back commits as if they had never been", () => {
    const task = aTask(service, "a");
    const view = aView({ services: [service], tasks: [task] });
    const snapshot = () => ({
      tasks: [...view.tasks.values()],
      on: view.tasksOn(anId("n1")),
      of: view.tasksOf(service.id),
      service: view.serviceNamed("shop", "web"),
      version: view.version,
    });
    const before = snapshot();
    const placed = view.tasks.get(task.id) ?? task;
    const applied = view.apply([remove.task(placed), put.task(aPendingTask(service, "b"))], 2);
    expect(snapshot()).not.toEqual(before);
    view.revert(applied, 1);
    expect(snapshot()).toEqual(before);
  });

  test("tells who follows it of what is there, of each change, and of what is taken back", () => {
    const task = aTask(service, "a");
    const view = aView({ services: [service], tasks: [task] });
    const heard: string[] = [];
    const stop = view.follow(({ kind, before, after }, at) => {
      const isThere = kind === "task" && after !== undefined && at.tasks.has(after.id);
      heard.push(`${kind}${before ? " before" : ""}${after ? " after" : ""}${isThere ? "!" : ""}`);
    });
    const applied = view.apply([remove.task(task)], 2);
    view.revert(applied, 1);
    stop();
    view.apply([remove.task(task)], 2);
    expect(heard).toEqual([
      "node after",
      "task after!",
      "service after",
      "task before",
      "task after!",
    ]);
  });

  test("is empty at first", () => {
    const view = new MemoryView();
    expect([view.version, view.nodes.size, view.servicesOf("shop")]).toEqual([0, 0, []]);
  });
});
