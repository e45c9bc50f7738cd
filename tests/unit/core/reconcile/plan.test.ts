import { describe, expect, test } from "bun:test";
import { changesOf, type Action } from "../../../../src/core/reconcile/plan.ts";
import { planStack } from "../../../../src/core/reconcile/stack.ts";
import { describeChange } from "../../../../src/core/reconcile/describe.ts";
import {
  aContainer,
  aPendingTask,
  aService,
  aSpec,
  aStack,
  aTask,
  aView,
  anId,
} from "../../../builders.ts";

const service = aService();
const stop: Action = { type: "stopTask", taskId: anId("t"), reason: "replaced by revision 2" };

describe("carrying out a plan", () => {
  test("asks a task that has a node to end, and leaves its state to its agent", () => {
    const view = aView({ services: [service], tasks: [aTask(service, "t")] });
    expect(changesOf(view, [stop], 50)).toMatchObject([
      { op: "put", value: { desired: "shutdown", state: "running", version: 1 } },
    ]);
  });

  test("ends a task without a node at once: there is nobody to ask", () => {
    const view = aView({ services: [service], tasks: [aPendingTask(service, "t")] });
    expect(changesOf(view, [stop], 50)).toMatchObject([
      { value: { desired: "shutdown", state: "shutdown", finishedAt: 50, message: stop.reason } },
    ]);
  });

  test("leaves the state of a task that ended as it is", () => {
    const ended = aPendingTask(service, "t", { state: "rejected" });
    const view = aView({ services: [service], tasks: [ended] });
    expect(changesOf(view, [stop], 50)).toMatchObject([{ value: { state: "rejected" } }]);
  });

  test("carries the versions that the plan was made from", () => {
    const view = aView({ stacks: [aStack()], services: [service], tasks: [aTask(service, "t")] });
    const actions: Action[] = [
      { type: "removeTask", taskId: anId("t") },
      { type: "deleteTask", taskId: anId("t") },
      { type: "deleteService", serviceId: service.id },
      { type: "deleteStack", name: "shop" },
    ];
    expect(changesOf(view, actions, 50)).toMatchObject([
      { op: "put", value: { desired: "removed", version: 1 } },
      { op: "delete", kind: "task", version: 1 },
      { op: "delete", kind: "service", version: 1 },
      { op: "delete", kind: "stack", version: 1 },
    ]);
  });

  test("does nothing about what is no longer there", () => {
    const actions: Action[] = [
      stop,
      { type: "deleteService", serviceId: service.id },
      { type: "deleteStack", name: "shop" },
    ];
    expect(changesOf(aView({}), actions, 50)).toEqual([]);
  });
});

describe("a stack", () => {
  const gone = [{ type: "deleteStack" as const, name: "shop" }];
  const removing = aStack("shop", { removing: true });

  test("that is being removed ends with its last service", () => {
    expect(planStack(aView({ stacks: [removing], services: [service] }), "shop").actions).toEqual(
      [],
    );
    expect(planStack(aView({ stacks: [removing] }), "shop").actions).toEqual(gone);
  });

  test("without services stays until somebody removes it", () => {
    expect(planStack(aView({ stacks: [aStack()] }), "shop").actions).toEqual([]);
    expect(planStack(aView({}), "shop").actions).toEqual([]);
  });
});

describe("a change of a service is told", () => {
  test("with the values that people look for", () => {
    const after = aSpec({ container: aContainer({ image: "b:2" }), replicas: 3, mode: "global" });
    expect(describeChange(aSpec(), after)).toBe(
      "image localhost/web:1 -> b:2, replicas 1 -> 3, mode replicated -> global",
    );
  });

  test("without the values that may be secret", () => {
    const after = aSpec({
      container: aContainer({ environment: { PASSWORD: "x" }, readOnly: true }),
    });
    expect(describeChange(aSpec(), after)).toBe("environment, read only");
  });

  test("as a restart when that is what it is", () => {
    expect(describeChange(aSpec(), aSpec({ restarts: 1 }))).toBe("restarted");
  });

  test("with nothing when nothing differs", () => {
    expect(describeChange(aSpec(), aSpec())).toBe("");
  });
});
