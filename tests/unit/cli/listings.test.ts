import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/lib/clock.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, openLines, problem, type Routes } from "./fake-server.ts";
import { aReadyService, aTaskSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

/** Runs a command line against canned answers. */
async function ask(routes: Routes, line: string, io = new FakeIo()) {
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(line.split(" "), io);
}

const port = { target: 80, published: 8080, protocol: "tcp", mode: "ingress" } as const;
const stack = {
  name: "shop",
  services: 2,
  tasksWanted: 3,
  tasksReady: 2,
  state: "converging",
  createdAt: 0,
  updatedAt: 0,
};

describe("orchd ps", () => {
  test("shows where tasks are, their state, age, ports and why", async () => {
    const now = 1_800_000_000_000;
    const io = new FakeIo({ clock: { ...systemClock, now: () => now } });
    const running = aTaskSummary({ health: "healthy", ports: [port], createdAt: now - 180_000 });
    const message = "no node has 8 cores";
    const pending = aTaskSummary({ name: "shop/web.2", state: "pending", createdAt: now, message });
    delete pending.node;
    const { code, out } = await ask({ "GET /v1/tasks": () => [running, pending] }, "ps", io);
    expect(code).toBe(0);
    expect(out).toBe(
      [
        "NAME        NODE  STATE    HEALTH   AGE    PORTS         REASON",
        "shop/web.1  n1    running  healthy  3 min  8080->80/tcp",
        "shop/web.2  -     pending  -        0 ms   -             no node has 8 cores",
        "",
      ].join("\n"),
    );
  });

  test("asks for a stack, a service and ended tasks as it is told", async () => {
    await ask({ "GET /v1/tasks": () => [aTaskSummary()] }, "ps shop/web --all");
    const path = server?.requests[0]?.path ?? "";
    expect(new URL(path, "http://x").searchParams.toString()).toBe(
      "stack=shop&service=web&all=true",
    );
  });

  test("tells of a stack that is not there, with the server's suggestion", async () => {
    const routes = {
      "GET /v1/tasks": () => [],
      "GET /v1/resolve": () => problem("notFound", "there is no shpo: did you mean shop?"),
    };
    const { code, err } = await ask(routes, "ps shpo");
    expect({ code, err }).toEqual({ code: 1, err: "there is no shpo: did you mean shop?\n" });
  });

  test("prints the API's own shape as JSON", async () => {
    const task = aTaskSummary();
    const { out } = await ask({ "GET /v1/tasks": () => [task] }, "ps --json");
    expect(JSON.parse(out)).toEqual([task]);
  });

  test("says what to do when there is nothing, and nothing in JSON", async () => {
    const routes = { "GET /v1/stacks": () => [] };
    expect(await ask(routes, "ls")).toMatchObject({
      code: 0,
      out: "",
      err: "There is no stack: start one with `orchd up -f compose.yaml`.\n",
    });
    await server?.stop();
    expect(await ask(routes, "ls --json")).toMatchObject({ out: "[]\n", err: "" });
  });
});

test("orchd ls shows stacks", async () => {
  const { out } = await ask({ "GET /v1/stacks": () => [stack] }, "ls");
  expect(out.split("\n")[1]).toMatch(/^shop {2}converging {2}2 {9}2\/3/);
});

test("orchd services shows how many tasks are ready", async () => {
  const routes = { "GET /v1/services": () => [aReadyService({ ports: [port] })] };
  const { out } = await ask(routes, "services shop");
  expect(out.split("\n")[1]).toBe("shop/web  replicated  3/3    1         web:1  8080->80/tcp");
  expect(server?.requests[0]?.path).toBe("/v1/services?stack=shop");
});

test("orchd image ls --nodes shows each name of each image", async () => {
  const image = { id: `sha256:${"ab".repeat(32)}`, sizeBytes: 2048, createdAt: Date.now() };
  const images = [
    { ...image, references: ["a:1", "b:1"] },
    { ...image, references: [] },
  ];
  const { out } = await ask(
    { "GET /v1/images": () => [{ node: "n1", images }] },
    "image ls --nodes",
  );
  expect(out).toMatch(/^n1 {4}a:1 {5}abababababab {2}2 KiB/m);
  expect(out).toContain("<none>");
});

test("orchd explain shows the answer, its facts and what comes next", async () => {
  const explanation = {
    kind: "task",
    id: "t1",
    name: "shop/web.1",
    summary: "it waits for a node",
    facts: [{ label: "image", value: "web:1\u001b[2J" }],
    placement: [{ node: "n1", fits: false, reason: "is drained" }],
    history: [],
    next: "activate n1",
  };
  const { out } = await ask({ "GET /v1/explain": () => explanation }, "explain web.1");
  expect(out).toBe(
    [
      "task shop/web.1: it waits for a node",
      "",
      "Facts",
      "  image  web:1\\x1b[2J",
      "",
      "Placement",
      "  NODE  FITS  REASON",
      "  n1    no    is drained",
      "",
      "Next",
      "  activate n1",
      "",
    ].join("\n"),
  );
});

test("an error of the server is told with its details, none of it raw", async () => {
  const routes = {
    "GET /v1/nodes": () => problem("invalid", "no\u001b[2J", ["services.web.image: is missing"]),
  };
  const { code, err } = await ask(routes, "nodes");
  expect(code).toBe(1);
  expect(err).toBe("no\\x1b[2J\n  services.web.image: is missing\n");
});

test("a listing that is watched is drawn again at an event, until Ctrl-C", async () => {
  const io = new FakeIo({ isTerminal: true });
  const event = {
    at: 0,
    version: 1,
    kind: "stack",
    action: "updated",
    id: "",
    name: "",
    message: "",
  };
  let asked = 0;
  const routes = {
    "GET /v1/events": () => openLines(event),
    "GET /v1/stacks": () => {
      if (++asked === 2) queueMicrotask(() => io.interrupt());
      return [{ ...stack, tasksReady: asked }];
    },
  };
  const { code, out } = await ask(routes, "ls --watch", io);
  expect(code).toBe(130);
  expect(out).toContain("1/3");
  expect(out).toEndWith("\u001b[?25h");
});
