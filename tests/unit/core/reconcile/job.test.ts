import { describe, expect, test } from "bun:test";
import { changesOf } from "../../../../src/core/reconcile/plan.ts";
import { isConverged, planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { JobRun } from "../../../../src/model/job.ts";
import type { Node } from "../../../../src/model/node.ts";
import { restartOf, type Service, type ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aNode, aRestart, aService, aSpec, aTask, aView, anId } from "../../../builders.ts";
import { lintPlan } from "../../../plan-linter.ts";
import { formatPlan } from "../../../plan-text.ts";

const NOW = 1_000_000;
const RUN: JobRun = { run: 1, revision: 1, startedAt: 0, message: "" };
const DOWN: Partial<Node> = { health: "down", since: NOW - 60_000 };

function aJob(spec: Partial<ServiceSpec> = {}, list: JobRun[] = [RUN]): Service {
  const runs = { count: list.length, list, skipped: 0 };
  return aService({ mode: "replicated-job", ...spec }, { runs });
}

function planOf(service: Service, tasks: Task[], nodes: Node[] = [aNode("n1"), aNode("n2")]) {
  const view = aView({ nodes, services: [service], tasks });
  const plan = planService(view, service.id, NOW, seededRandom("job"));
  expect(lintPlan(view, view.services.get(service.id) ?? service, plan, NOW)).toEqual([]);
  view.apply(changesOf(view, plan.actions, NOW), 2);
  const isDone = isConverged(view, view.services.get(service.id) ?? service);
  return { lines: formatPlan(plan), isDone };
}

const done: Partial<Task> = { state: "complete", finishedAt: 10 };
const failed: Partial<Task> = { state: "failed", finishedAt: 10, message: "exited with code 1" };

describe("a job whose node is lost", () => {
  test("is done again elsewhere, when the node has been down for a while", () => {
    const service = aJob();
    const { lines } = planOf(service, [aTask(service, "a")], [aNode("n1", DOWN), aNode("n2")]);
    expect(lines).toEqual(["create a task in slot 1 of revision 1"]);
  });

  test("is not done again when it was done before", () => {
    const service = aJob();
    const nodes = [aNode("n1", DOWN), aNode("n2")];
    const { lines, isDone } = planOf(service, [aTask(service, "a", done)], nodes);
    expect({ lines, isDone }).toEqual({
      lines: ["remember of runs: run 1 complete"],
      isDone: true,
    });
  });

  test("is not done again when the node was removed after it was done", () => {
    const service = aJob();
    const { isDone } = planOf(service, [aTask(service, "a", done)], [aNode("n2")]);
    expect(isDone).toBe(true);
  });

  test("needs no second one any more when the first turns out to be done", () => {
    const service = aJob();
    const second = aTask(service, "b", { attempt: 2, nodeId: anId("n2") });
    const { lines } = planOf(service, [aTask(service, "a", done), second]);
    expect(lines).toEqual([
      "stop b: its work is done",
      "remember of runs: run 1 complete",
      "retire a",
    ]);
  });

  test("does not begin what has failed again, where another one did its work", () => {
    const service = aJob();
    const failed = aTask(service, "a", { state: "failed", finishedAt: 1 });
    const { lines } = planOf(service, [failed, aTask(service, "b", { ...done, attempt: 2 })]);
    expect(lines).toEqual(["remember of runs: run 1 complete", "retire a"]);
  });

  test("lets the others go on, beyond how many there may be at once", () => {
    const service = aJob({ mode: "global-job", job: { parallelism: 1 } });
    const away = aTask(service, "a", { slot: anId("n1") });
    const { lines } = planOf(service, [away], [aNode("n1", DOWN), aNode("n2")]);
    expect(lines).toEqual(["create a task in slot n2 of revision 1"]);
  });
});

describe("a job that goes on", () => {
  test("has as many at work as it may, the first slots first", () => {
    const service = aJob({ replicas: 4, job: { parallelism: 2 } });
    const { lines } = planOf(service, [
      aTask(service, "a", done),
      aTask(service, "b", { slot: "2" }),
    ]);
    expect(lines).toEqual(["create a task in slot 3 of revision 1"]);
  });

  test("goes on elsewhere when its node is drained, once the task has ended", () => {
    const service = aJob();
    const { lines } = planOf(
      service,
      [aTask(service, "a")],
      [aNode("n1", { availability: "drain" })],
    );
    expect(lines).toEqual(["stop a: node n1 is drained"]);
  });

  test("with no tasks to complete is done at once", () => {
    expect(planOf(aJob({ replicas: 0 }), []).isDone).toBe(true);
  });

  test("on each node is not done while no node fits", () => {
    expect(planOf(aJob({ mode: "global-job" }), [], []).isDone).toBe(false);
  });

  test("ends with all its tasks when more failed than may", () => {
    const service = aJob({ replicas: 2, job: { retries: 1 } });
    const tasks = [
      aTask(service, "a", { ...failed, failures: 1 }),
      aTask(service, "b", { slot: "2" }),
    ];
    const why = "2 tasks failed, and it may have 1: exited with code 1";
    const { lines, isDone } = planOf(service, tasks);
    expect(lines).toEqual([
      `stop b: the job failed: ${why}`,
      `remember of runs: run 1 failed: ${why}`,
    ]);
    expect(isDone).toBe(false);
  });

  test("counts no task as failed that was lost with its node", () => {
    const service = aJob({ job: { retries: 0 } });
    const lost = aTask(service, "a", { state: "lost", finishedAt: 10 });
    expect(planOf(service, [lost]).lines).toEqual(["create a task in slot 1 of revision 1"]);
  });

  test("is not taken for too late when the clock was set back", () => {
    const service = aJob({ job: { deadlineMs: 1000 } }, [{ ...RUN, startedAt: NOW + 86_400_000 }]);
    expect(planOf(service, [aTask(service, "a")]).lines).toEqual([
      `look again at ${NOW + 86_401_000}`,
    ]);
  });
});

describe("the restart policy of a job", () => {
  const cases: [string, Partial<ServiceSpec>, Partial<ServiceSpec["restart"]>][] = [
    ["takes any for on-failure", {}, { condition: "on-failure" }],
    ["keeps none", { restart: aRestart({ condition: "none" }) }, { condition: "none" }],
    ["allows a slot no more than the job", { job: { retries: 2 } }, { maxAttempts: 2 }],
    [
      "takes the lower of two limits",
      { restart: aRestart({ maxAttempts: 1 }), job: { retries: 2 } },
      { maxAttempts: 1 },
    ],
  ];
  for (const [title, spec, expected] of cases) {
    test(title, () => {
      expect(restartOf(aSpec({ mode: "replicated-job", ...spec }))).toMatchObject(expected);
    });
  }

  test("is what it is for any other service", () => {
    expect(restartOf(aSpec())).toEqual(aSpec().restart);
  });
});
