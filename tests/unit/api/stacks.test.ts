import { describe, expect, test } from "bun:test";
import { put, remove } from "../../../src/model/change.ts";
import type { Progress, StackSummary } from "../../../src/model/summary.ts";
import { aNode, aPendingTask, aService, aSpec, aStack, aTask } from "../../builders.ts";
import { anApi, json, LineReader, type MemoryStore, type Refusal, until } from "./fixture.ts";

const service = aService();
const running = { nodes: [aNode()], stacks: [aStack()], services: [service] };
const spec = { services: { web: aSpec() }, volumes: [] };

describe("stacks", () => {
  test("are listed by name with how many of their tasks are ready", async () => {
    const { app } = await anApi({
      ...running,
      stacks: [aStack("shop"), aStack("empty"), aStack("leaving", { removing: true })],
      tasks: [aTask(service, "t1")],
    });
    const stacks = (await (await app.request("/v1/stacks")).json()) as StackSummary[];
    expect(stacks.map((s) => [s.name, s.state, s.tasksReady, s.tasksWanted])).toEqual([
      ["empty", "running", 0, 0],
      ["leaving", "removing", 0, 0],
      ["shop", "running", 1, 1],
    ]);
  });

  test("are applied as the body says", async () => {
    const { app, calls } = await anApi();
    const response = await app.request("/v1/stacks/shop?prune=true", json("PUT", spec));
    expect(response.status).toBe(200);
    expect(calls).toEqual([["applyStack", "shop", spec, { dryRun: false, prune: true }]]);
  });

  test("are refused with every problem and its place, and none of the values", async () => {
    const { app, calls } = await anApi();
    const container = { ...aSpec().container, environment: { PASSWORD: ["hunter2"] } };
    const broken = { services: { web: { ...aSpec(), container, replicas: -7 } }, volumes: [] };
    const response = await app.request("/v1/stacks/shop", json("PUT", broken));
    const text = await response.text();
    const { error } = JSON.parse(text) as Refusal;
    expect(response.status).toBe(400);
    expect(error.message).toBe("the body is not valid");
    expect(error.details).toEqual([
      "services.web.replicas: Too small: expected number to be >=0",
      "services.web.container.environment.PASSWORD: Invalid input: expected string, received array",
    ]);
    expect(text).not.toContain("hunter2");
    expect(calls).toEqual([]);
  });

  test("are refused with owners and modes of secrets that make no sense", async () => {
    const { app, calls } = await anApi();
    const grant = { kind: "secret", name: "a", target: "/a", uid: 0, gid: 0, mode: 0o444 };
    const wrong = [
      { uid: -1 },
      { uid: 0xffff_ffff },
      { gid: -1 },
      { gid: 1.5 },
      { mode: 0o1000 },
      { mode: -1 },
      { mode: "0444" },
    ];
    for (const over of wrong) {
      const container = { ...aSpec().container, grants: [{ ...grant, ...over }] };
      const body = { services: { web: { ...aSpec(), container } }, volumes: [] };
      const response = await app.request("/v1/stacks/shop", json("PUT", body));
      const { error } = (await response.json()) as Refusal;
      const [field] = Object.keys(over);
      expect(error.details).toEqual([
        expect.stringContaining(`services.web.container.grants.0.${field}: `),
      ]);
    }
    expect(calls).toEqual([]);
  });

  test("may not have a name that is a path", async () => {
    const { app, calls } = await anApi();
    for (const name of ["..%2F..%2Fetc", "a%00b", "-rf", "A", "x".repeat(64), "%ff"]) {
      const response = await app.request(`/v1/stacks/${name}`, json("PUT", spec));
      expect([name, response.status]).toEqual([name, 400]);
    }
    expect(calls).toEqual([]);
  });

  test("begin to end when they are deleted", async () => {
    const { app, calls } = await anApi(running);
    const response = await app.request("/v1/stacks/shop?volumes=true", { method: "DELETE" });
    expect(response.status).toBe(202);
    expect(calls).toEqual([["removeStack", "shop", { volumes: true }]]);
  });

  test("that are not there are answered with the nearest name", async () => {
    const { app } = await anApi(running);
    const response = await app.request("/v1/stacks/shpp", { method: "DELETE" });
    const { error } = (await response.json()) as Refusal;
    expect(response.status).toBe(404);
    expect(error.message).toBe("there is no stack named shpp; did you mean shop?");
  });
});

describe("a stack's progress", () => {
  test("tells the present state at once, then each change, and ends with the stack", async () => {
    const { app, store, clock } = await anApi({
      ...running,
      tasks: [aPendingTask(service, "t1", { message: "no node has room" })],
    });
    const lines = new LineReader(await app.request("/v1/stacks/shop/progress"));
    const first = (await lines.next()) as Progress;
    expect(first).toMatchObject({ stack: "shop", converged: false, removed: false });
    expect(first.services[0]).toMatchObject({ ready: 0, message: "no node has room" });

    await store.commit([put.task(aTask(service, "t1", { version: 1 }))]);
    clock.advance(50);
    expect(await lines.next()).toMatchObject({ converged: true, removed: false });

    await removeAll(store);
    clock.advance(50);
    expect(await lines.next()).toMatchObject({ services: [], converged: false, removed: true });
    expect(await lines.next()).toBe("end");
    // What remains is the log of events.
    await until(() => store.watchers === 1 && clock.waiting === 0);
  });

  test("tells of many changes within 50 ms once, and of none that does not show", async () => {
    const { app, store, clock } = await anApi({ ...running, tasks: [aTask(service, "t1")] });
    const lines = new LineReader(await app.request("/v1/stacks/shop/progress"));
    expect(await lines.next()).toMatchObject({ converged: true });
    for (const health of ["starting", "unhealthy", "starting"] as const) {
      const [task] = store.view().tasks.values();
      if (task !== undefined) await store.commit([put.task({ ...task, health })]);
    }
    await store.commit([put.stack(aStack("other"))]);
    clock.advance(50);
    expect(await lines.next()).toMatchObject({ services: [{ ready: 0 }] });
    await removeAll(store);
    clock.advance(50);
    expect(await lines.rest()).toMatchObject([{ removed: true }]);
  });

  test("beats while nothing changes", async () => {
    const { app, clock } = await anApi(running);
    const lines = new LineReader(await app.request("/v1/stacks/shop/progress"));
    await lines.next();
    clock.advance(15_000);
    expect(await lines.next()).toBeUndefined();
    clock.advance(15_000);
    expect(await lines.next()).toBeUndefined();
    await lines.cancel();
  });

  test("costs nothing more once its reader has gone", async () => {
    const { app, store, clock } = await anApi(running);
    const lines = new LineReader(await app.request("/v1/stacks/shop/progress"));
    await lines.next();
    expect(store.watchers).toBe(2);
    await lines.cancel();
    await until(() => store.watchers === 1 && clock.waiting === 0);
  });
});

async function removeAll(store: MemoryStore): Promise<void> {
  const { tasks, services, stacks } = store.view();
  await store.commit([
    ...[...tasks.values()].map(remove.task),
    ...[...services.values()].map(remove.service),
    ...[...stacks.values()].map(remove.stack),
  ]);
}
