import { describe, expect, test } from "bun:test";
import {
  idOf,
  nameOfTarget,
  resolveTarget,
  type TargetKind,
} from "../../../../src/api/read/target.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import { aNode, anId, aPendingTask, aService, aStack, aTask, aView } from "../../../builders.ts";

const web = aService();
const blogWeb = aService({}, { id: anId("blogweb"), stack: "blog" });
const api = aService({}, { id: anId("api"), name: "api" });
const dotted = aService({}, { id: anId("dotted"), name: "api.v2" });
const shop = aService({}, { id: anId("shopsvc"), name: "shop", stack: "blog" });
const agent = aService({ mode: "global" }, { id: anId("agent"), name: "agent" });
const node = aNode("n1", { hostname: "edge-1.site" });
const away = aNode("n2", { hostname: "edge-2" });

const view = aView({
  nodes: [node, away],
  stacks: [aStack("shop"), aStack("blog")],
  services: [web, blogWeb, api, dotted, shop, agent],
  tasks: [
    aTask(web, "old", { state: "failed", createdAt: 1 }),
    aTask(web, "live", { createdAt: 2 }),
    aTask(web, "second", { slot: "2" }),
    aTask(web, "tenth", { slot: "10", state: "complete" }),
    aTask(blogWeb, "blogtask"),
    aPendingTask(dotted, "pending"),
    aTask(agent, "global1", { slot: node.id, nodeId: node.id }),
    aTask(agent, "global2", { slot: away.id, nodeId: away.id }),
  ],
});

/** `task shop/web.1 livexxxxxxxx`, or the code and sentence of the refusal. */
function found(text: string, kinds?: TargetKind[]): string {
  try {
    const target = resolveTarget(view, text, kinds);
    return `${target.kind} ${nameOfTarget(view, target)} ${idOf(target)}`;
  } catch (error) {
    if (error instanceof OrchdError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

describe("a name that people type", () => {
  const cases: [text: string, answer: string, kinds?: TargetKind[]][] = [
    ["blog", "stack blog blog"],
    ["api", "service shop/api apixxxxxxxxx"],
    ["shop/web", "service shop/web webxxxxxxxxx"],
    ["api.v2", "service shop/api.v2 dottedxxxxxx"],
    ["shop/web.1", "task shop/web.1 livexxxxxxxx"],
    ["web.2", "task shop/web.2 secondxxxxxx"],
    ["web.10", "task shop/web.10 tenthxxxxxxx"],
    ["api.v2.1", "task shop/api.v2.1 pendingxxxxx"],
    ["agent.edge-1.site", "task shop/agent.edge-1.site global1xxxxx"],
    ["shop/agent.edge-2", "task shop/agent.edge-2 global2xxxxx"],
    ["oldxxxxxxxxx", "task shop/web.1 oldxxxxxxxxx"],
    ["live", "task shop/web.1 livexxxxxxxx"],
    ["edge-2", "node edge-2 n2xxxxxxxxxx"],
    ["n1xxxxxxxxxx", "node edge-1.site n1xxxxxxxxxx"],
    ["webxxxxxxxxx", "service shop/web webxxxxxxxxx"],
    ["shop", "service blog/shop shopsvcxxxxx", ["service", "task"]],
    ["shop", 'conflict: "shop" could be service blog/shop, stack shop: say which by its full name'],
    [
      "web",
      'conflict: "web" could be service blog/web, service shop/web: say which by its full name',
    ],
    [
      "web.1",
      'conflict: "web.1" could be task blog/web.1 (blogtaskxxxx), ' +
        "task shop/web.1 (livexxxxxxxx): say which by its full name",
    ],
    [
      "global",
      'conflict: "global" could be task shop/agent.edge-1.site (global1xxxxx), ' +
        "task shop/agent.edge-2 (global2xxxxx): say which by its full name",
    ],
    ["li", 'notFound: there is no stack, service, task or node named "li"'],
    [
      "shop/wep",
      'notFound: there is no service named "shop/wep"; did you mean shop/web?',
      ["service"],
    ],
    ["web.99", 'notFound: there is no task named "web.99"; did you mean web.1?', ["task"]],
    ["", 'notFound: there is no node named ""', ["node"]],
    ["__proto__", 'notFound: there is no node named "__proto__"', ["node"]],
    [
      "'; DROP TABLE task; --",
      `notFound: there is no node named "'; DROP TABLE task; --"`,
      ["node"],
    ],
  ];
  for (const [text, answer, kinds] of cases) {
    const of = kinds === undefined ? "" : ` among ${kinds.join(" and ")}`;
    test(`${JSON.stringify(text)}${of} is ${answer}`, () => {
      expect(found(text, kinds)).toBe(answer);
    });
  }

  test("is repeated at most in part", () => {
    expect(found("x".repeat(10_000)).length).toBeLessThan(200);
  });
});
