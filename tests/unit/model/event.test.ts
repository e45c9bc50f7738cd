import { describe, expect, test } from "bun:test";
import type { Applied } from "../../../src/model/change.ts";
import { eventOf } from "../../../src/model/event.ts";
import { revise } from "../../../src/model/revise.ts";
import { aNode, aPendingTask, aService, aSpec, aStack, aTask } from "../../builders.ts";

/** `kind action: message` as it is told, or undefined. */
function told(applied: Applied): string | undefined {
  const event = eventOf(applied, 5, 9);
  return event && `${event.name} ${event.action}: ${event.message}`;
}

const service = aService();
const aRun = (run: number) => ({ run, revision: 1, startedAt: 0, message: "" });
const running = aTask(service, "t");

describe("people hear of", () => {
  const cases: [string, Applied, string | undefined][] = [
    [
      "a task's new state, with its reason",
      { kind: "task", before: running, after: { ...running, state: "failed", message: "code 1" } },
      "shop/web.1 failed: code 1",
    ],
    [
      "a task's health",
      { kind: "task", before: running, after: { ...running, health: "unhealthy" } },
      "shop/web.1 unhealthy: ",
    ],
    [
      "why a task still waits",
      {
        kind: "task",
        before: aPendingTask(service, "t"),
        after: aPendingTask(service, "t", { message: "no node fits" }),
      },
      "shop/web.1 pending: no node fits",
    ],
    [
      "a service's birth",
      { kind: "service", before: undefined, after: service },
      "shop/web created: ",
    ],
    [
      "a scaling",
      { kind: "service", before: service, after: revise(service, aSpec({ replicas: 4 }), 5, []) },
      "shop/web updated: revision 2, scaled from 1 to 4",
    ],
    [
      "what became of a job's runs",
      {
        kind: "service",
        before: { ...service, runs: { count: 1, list: [aRun(1)], skipped: 0 } },
        after: {
          ...service,
          runs: { count: 2, list: [aRun(2), { ...aRun(1), result: "complete" }], skipped: 0 },
        },
      },
      "shop/web run: 1 complete; 2 began",
    ],
    [
      "a time that had no run",
      {
        kind: "service",
        before: { ...service, runs: { count: 0, list: [], skipped: 0 } },
        after: {
          ...service,
          runs: { count: 0, list: [], skipped: 1, lastSkip: { at: 5, reason: "it was busy" } },
        },
      },
      "shop/web run: skipped: it was busy",
    ],
    [
      "the begin of a removal",
      { kind: "service", before: service, after: { ...service, removing: true } },
      "shop/web removing: ",
    ],
    [
      "a service's end",
      { kind: "service", before: service, after: undefined },
      "shop/web removed: ",
    ],
    [
      "a stack that is applied again",
      { kind: "stack", before: aStack(), after: aStack("shop", { updatedAt: 9 }) },
      "shop updated: ",
    ],
    ["a stack's end", { kind: "stack", before: aStack(), after: undefined }, "shop removed: "],
    [
      "a stack on its way out",
      { kind: "stack", before: aStack(), after: aStack("shop", { removing: true }) },
      "shop removing: ",
    ],
    ["a new stack", { kind: "stack", before: undefined, after: aStack() }, "shop created: "],
    ["a new node", { kind: "node", before: undefined, after: aNode() }, "n1 created: "],
    [
      "a node that is down",
      { kind: "node", before: aNode(), after: aNode("n1", { health: "down" }) },
      "n1 down: ",
    ],
    [
      "a node that is drained",
      { kind: "node", before: aNode(), after: aNode("n1", { availability: "drain" }) },
      "n1 drain: ",
    ],
    ["a node that left", { kind: "node", before: aNode(), after: undefined }, "n1 removed: "],
  ];
  for (const [title, applied, expected] of cases) {
    test(title, () => expect(told(applied)).toBe(expected ?? "nothing"));
  }
});

test("people do not hear of writes that change nothing that shows", () => {
  const silent: Applied[] = [
    { kind: "task", before: running, after: { ...running, version: 2 } },
    { kind: "task", before: running, after: undefined },
    { kind: "service", before: service, after: { ...service, version: 2 } },
    { kind: "stack", before: aStack(), after: aStack("shop", { version: 3 }) },
    { kind: "node", before: aNode(), after: aNode("n1", { labels: { a: "b" } }) },
  ];
  expect(silent.map(told)).toEqual(silent.map(() => undefined));
});
