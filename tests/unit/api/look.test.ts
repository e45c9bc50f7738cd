import { describe, expect, test } from "bun:test";
import { EventLog } from "../../../src/api/event-log.ts";
import { put } from "../../../src/model/change.ts";
import type { Event } from "../../../src/model/event.ts";
import type { NodeSummary, TaskSummary } from "../../../src/model/summary.ts";
import {
  aNode,
  anId,
  aPendingTask,
  aPort,
  aService,
  aStack,
  aTask,
  reserving,
} from "../../builders.ts";
import { anApi, LineReader, MemoryStore, type Refusal, TestClock, until } from "./fixture.ts";

const web = aService({ resources: reserving(250, 1000), ports: [aPort()] });
const db = aService({}, { id: anId("db"), name: "db" });

describe("tasks", () => {
  const tasks = [
    aTask(web, "t2", { slot: "2" }),
    aTask(web, "t10", { slot: "10", desired: "shutdown" }),
    aTask(web, "first", { slot: "1", state: "failed", createdAt: 1, exitCode: 1 }),
    aTask(web, "again", { slot: "1", state: "rejected", createdAt: 2, failures: 1 }),
    aTask(web, "leaving", { slot: "11", state: "shutdown", desired: "removed" }),
    aPendingTask(db, "dbtask"),
  ];
  const world = { nodes: [aNode()], services: [web, db], tasks };

  async function list(query: string): Promise<string[]> {
    const { app } = await anApi(world);
    const answer = (await (await app.request(`/v1/tasks${query}`)).json()) as TaskSummary[];
    return answer.map((task) => `${task.name} ${task.state}`);
  }

  test("are those that have not ended, and the latest of a slot where all have", async () => {
    expect(await list("")).toEqual([
      "shop/db.1 pending",
      "shop/web.1 rejected",
      "shop/web.2 running",
      "shop/web.10 running",
    ]);
  });

  test("are all that there are when all are asked for", async () => {
    expect(await list("?all=true&service=web")).toEqual([
      "shop/web.1 failed",
      "shop/web.1 rejected",
      "shop/web.2 running",
      "shop/web.10 running",
      "shop/web.11 shutdown",
    ]);
  });

  test("are found by stack and service", async () => {
    expect(await list("?stack=shop&service=db")).toEqual(["shop/db.1 pending"]);
    expect(await list("?stack=blog")).toEqual([]);
  });

  test("show where they run and what of, and nothing of the inside", async () => {
    const { app } = await anApi(world);
    const [task] = (await (await app.request("/v1/tasks?service=web")).json()) as TaskSummary[];
    expect(task).toEqual({
      id: anId("again"),
      name: "shop/web.1",
      stack: "shop",
      service: "web",
      slot: "1",
      revision: 1,
      image: "localhost/web:1",
      nodeId: anId("n1"),
      node: "n1",
      desired: "running",
      state: "rejected",
      health: "none",
      ready: false,
      message: "",
      ports: [aPort()],
      failures: 1,
      createdAt: 2,
      since: 0,
      startedAt: 0,
    });
  });
});

describe("nodes", () => {
  test("show how many tasks they hold and what those reserve", async () => {
    const { app } = await anApi({
      nodes: [aNode("n2"), aNode("n1")],
      services: [web],
      tasks: [aTask(web, "a"), aTask(web, "b"), aTask(web, "c", { state: "failed" })],
    });
    const nodes = (await (await app.request("/v1/nodes")).json()) as NodeSummary[];
    expect(nodes.map(({ hostname, tasks, reserved }) => ({ hostname, tasks, reserved }))).toEqual([
      { hostname: "n1", tasks: 2, reserved: { cpuMillis: 500, memoryBytes: 2000 } },
      { hostname: "n2", tasks: 0, reserved: { cpuMillis: 0, memoryBytes: 0 } },
    ]);
  });
});

describe("a name", () => {
  const world = { nodes: [aNode()], stacks: [aStack()], services: [web], tasks: [aTask(web, "t")] };

  test("is resolved to what it stands for", async () => {
    const { app } = await anApi(world);
    const answers = ["shop", "web", "web.1", "n1"].map(async (name) =>
      (await app.request(`/v1/resolve?target=${name}`)).json(),
    );
    expect(await Promise.all(answers)).toEqual([
      { kind: "stack", id: "shop", name: "shop" },
      { kind: "service", id: web.id, name: "shop/web", stack: "shop", service: "web" },
      { kind: "task", id: anId("t"), name: "shop/web.1", stack: "shop", service: "web" },
      { kind: "node", id: anId("n1"), name: "n1" },
    ]);
  });

  test("can be narrowed to kinds", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/resolve?target=web&kind=task&kind=node");
    expect(response.status).toBe(404);
    expect(((await response.json()) as Refusal).error.code).toBe("notFound");
  });

  test("of a stack has nothing to explain", async () => {
    const { app, calls } = await anApi(world);
    expect((await app.request("/v1/explain?target=shop")).status).toBe(404);
    expect((await app.request("/v1/explain?target=web.1")).status).toBe(200);
    expect(calls).toEqual([["explain", "task"]]);
  });
});

describe("events", () => {
  test("are those that came since, and end there", async () => {
    const { app, store, clock } = await anApi();
    await store.commit([put.stack(aStack("first"))]);
    clock.advance(1000);
    await store.commit([put.stack(aStack("second"))]);
    const read = async (query: string) => {
      const events = await new LineReader(await app.request(`/v1/events${query}`)).rest();
      return (events as Event[]).map((event) => `${event.at} ${event.name} ${event.action}`);
    };
    expect(await read("")).toEqual(["1000 first created", "2000 second created"]);
    expect(await read("?since=2000")).toEqual(["2000 second created"]);
    expect(await read("?since=2001")).toEqual([]);
  });

  test("are told as they come to who follows", async () => {
    const { app, store } = await anApi();
    const lines = new LineReader(await app.request("/v1/events?follow=true"));
    await store.commit([put.stack(aStack("shop")), put.node(aNode())]);
    expect(await lines.next()).toMatchObject({ kind: "stack", name: "shop", version: 2 });
    expect(await lines.next()).toMatchObject({ kind: "node", action: "created" });
    await store.commit([put.stack(aStack("blog"))]);
    expect(await lines.next()).toMatchObject({ kind: "stack", name: "blog", version: 3 });
    await lines.cancel();
  });

  test("are kept up to a limit, and who reads slowly misses the oldest", async () => {
    const store = new MemoryStore();
    const events = new EventLog(store, new TestClock(), 3);
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const stop = new AbortController();
    const sink = {
      signal: stop.signal,
      write: (event: unknown) => {
        seen.push((event as Event).name);
        return gate.promise;
      },
    };
    await store.commit([put.stack(aStack("a"))]);
    const sent = events.send(sink, { sinceMs: 0, follow: true });
    await until(() => seen.length === 1);
    for (const name of ["b", "c", "d", "e"]) await store.commit([put.stack(aStack(name))]);
    gate.resolve();
    await until(() => seen.length === 4);
    stop.abort();
    await sent;
    expect(seen).toEqual(["a", "c", "d", "e"]);
  });
});
