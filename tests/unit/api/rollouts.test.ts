import { describe, expect, test } from "bun:test";
import type { Rollout } from "../../../src/model/rollout.ts";
import type { AppliedSetSummary, RevisionSummary } from "../../../src/model/summary.ts";
import { aNode, anId, aService, aStack, aTask, withNewImage } from "../../builders.ts";
import { anApi, json, type Refusal } from "./fixture.ts";

const first = aService({ replicas: 2 });
const rollout: Rollout = {
  state: "running",
  from: 1,
  to: 2,
  startedAt: 500,
  slots: 2,
  failed: ["1"],
  forgiven: [],
  message: "",
};
const web = { ...withNewImage(first), rollout };
const agent = aService({ mode: "global" }, { id: anId("agent"), name: "agent" });
const sets = [
  { id: 2, at: 9, revisions: { web: 2, agent: 1 } },
  { id: 1, at: 5, revisions: { web: 1, agent: 1 } },
];
const world = {
  nodes: [aNode()],
  stacks: [aStack("shop", { sets })],
  services: [web, agent],
  tasks: [aTask(first, "old", { slot: "2" }), aTask(web, "new", { createdAt: 1 })],
};

describe("a rollout", () => {
  test("is told with what is done and what failed", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/services/shop/web/rollout");
    expect(await response.json()).toEqual({
      stack: "shop",
      name: "web",
      state: "running",
      revision: 2,
      from: 1,
      to: 2,
      startedAt: 500,
      slots: 2,
      done: 1,
      failed: ["1"],
      deferred: [],
      held: [],
      canaries: [],
      message: "",
    });
  });

  test("that never was is none", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/services/shop/agent/rollout");
    expect(await response.json()).toMatchObject({ state: "none", revision: 1, slots: 1 });
  });

  test("tells nodes that are away by their host names", async () => {
    const before = aService({ mode: "global" });
    const service = { ...withNewImage(before), rollout };
    const task = aTask(before, "old", { slot: anId("n1") });
    const nodes = [aNode("n1", { health: "down" })];
    const { app } = await anApi({ ...world, services: [service], tasks: [task], nodes });
    const response = await app.request("/v1/services/shop/web/rollout");
    expect(await response.json()).toMatchObject({ deferred: ["n1"], done: 0 });
  });

  const orders = [
    { type: "pause" },
    { type: "resume", unlock: true },
    { type: "promote" },
    { type: "undo" },
    { type: "undo", to: 1 },
  ];
  for (const order of orders) {
    test(`is told ${JSON.stringify(order)}`, async () => {
      const { app, calls } = await anApi(world);
      const response = await app.request("/v1/services/shop/web/rollout", json("POST", order));
      expect(response.status).toBe(200);
      expect(calls).toEqual([["orderRollout", web.id, order]]);
    });
  }

  const bad: unknown[] = [
    {},
    { type: "abort" },
    { type: "undo", to: 0 },
    { type: "undo", to: 1e300 },
    { type: "undo", to: "1" },
    { type: "resume", unlock: "yes" },
    [],
  ];
  for (const order of bad) {
    test(`is not told ${JSON.stringify(order)}`, async () => {
      const { app, calls } = await anApi(world);
      const response = await app.request("/v1/services/shop/web/rollout", json("POST", order));
      expect([response.status, calls]).toEqual([400, []]);
    });
  }

  test("of a service that is not there is answered with the nearest name", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/services/shop/wbe/rollout");
    const { error } = (await response.json()) as Refusal;
    expect([response.status, error.message]).toEqual([
      404,
      'there is no service named "shop/wbe"; did you mean shop/web?',
    ]);
  });
});

describe("what was before", () => {
  test("are a service's revisions, the newest first", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/services/shop/web/revisions");
    const list = (await response.json()) as RevisionSummary[];
    expect(
      list.map(({ revision, current, tasks, change }) => [revision, current, tasks, change]),
    ).toEqual([
      [2, true, 1, "image localhost/web:1 -> localhost/web:2"],
      [1, false, 1, ""],
    ]);
  });

  test("are a stack's sets, with the one that it is at", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/stacks/shop/sets");
    const list = (await response.json()) as AppliedSetSummary[];
    expect(list.map(({ id, current }) => [id, current])).toEqual([
      [2, true],
      [1, false],
    ]);
  });

  test("is what a stack goes back to", async () => {
    const { app, calls } = await anApi(world);
    await app.request("/v1/stacks/shop/undo", json("POST", {}));
    await app.request("/v1/stacks/shop/undo", json("POST", { to: 1 }));
    expect(calls).toEqual([
      ["undoStack", "shop", undefined],
      ["undoStack", "shop", 1],
    ]);
    const refused = await app.request("/v1/stacks/blog/undo", json("POST", {}));
    expect(refused.status).toBe(404);
  });
});
