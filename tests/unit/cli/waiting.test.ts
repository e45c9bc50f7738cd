import { afterEach, describe, expect, test } from "bun:test";
import { FakeClock, FakeIo, run } from "./fake-io.ts";
import { FakeServer, lines, openLines, problem, type Routes } from "./fake-server.ts";
import { aProgress, aReadyService, aServiceSummary, aTaskSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function ask(routes: Routes, line: string, io = new FakeIo()) {
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(line.split(" "), io);
}

const port = { target: 80, published: 8080, protocol: "tcp", mode: "ingress" } as const;
const PROGRESS = "GET /v1/services/shop/web/progress";
const scaled = { "POST /v1/scale": () => [aServiceSummary({ wanted: 4 })] };

describe("orchd scale", () => {
  test("asks for all at once, waits until it has converged and tells its address", async () => {
    const begun = aProgress([aServiceSummary({ wanted: 4, running: 3, ready: 3 })]);
    const done = aProgress([aReadyService({ wanted: 4, ready: 4, ports: [port] })]);
    const { code, out } = await ask(
      { ...scaled, [PROGRESS]: () => openLines(begun, done) },
      "scale web=4",
    );
    expect(code).toBe(0);
    expect(JSON.parse(server?.requests[0]?.body ?? "")).toEqual({ services: { web: 4 } });
    expect(out).toBe(
      [
        "shop/web: starting, 3 of 4 ready",
        "shop/web: ready, 4 of 4 ready",
        "shop/web converged",
        "shop/web answers on 127.0.0.1:8080",
        "",
      ].join("\n"),
    );
  });

  test("waits for every service that it scaled", async () => {
    const worker = aReadyService({ id: "s2", name: "worker" });
    const routes = {
      "POST /v1/scale": () => [aServiceSummary(), worker],
      [PROGRESS]: () => openLines(aProgress([aServiceSummary()]), aProgress([aReadyService()])),
      "GET /v1/services/shop/worker/progress": () => openLines(aProgress([worker])),
    };
    const { code, out } = await ask(routes, "scale web=3 worker=3");
    expect(code).toBe(0);
    expect(out).toContain("shop/worker: ready");
    expect(out).toEndWith("2 services converged\n");
  });

  test("with --detach does not wait", async () => {
    const { code, out } = await ask(scaled, "scale web=4 --detach");
    expect({ code, out }).toEqual({
      code: 0,
      out: "shop/web was changed: see `orchd services`\n",
    });
  });

  test("tells a refusal as it is", async () => {
    const routes = { "POST /v1/scale": () => problem("conflict", "shop/agent is global") };
    const { code, err } = await ask(routes, "scale agent=4");
    expect({ code, err }).toEqual({ code: 1, err: "shop/agent is global\n" });
  });

  test("with --json prints the progress as it comes", async () => {
    const done = aProgress([aReadyService()]);
    const { out } = await ask(
      { ...scaled, [PROGRESS]: () => openLines(done) },
      "scale web=3 --json",
    );
    expect(JSON.parse(out)).toEqual(done);
  });
});

describe("waiting ends", () => {
  test("with 1 when a slot fails again and again, and says why and where to look", async () => {
    const failing = aServiceSummary({ failures: 3, message: "exit code 1" });
    const task = aTaskSummary({ state: "failed", failures: 2, message: "exit code 1" });
    const routes = {
      ...scaled,
      [PROGRESS]: () => openLines(aProgress([failing])),
      "GET /v1/tasks": () => [task],
    };
    const { code, err } = await ask(routes, "scale web=3");
    expect(code).toBe(1);
    expect(err).toBe(
      "shop/web does not start: shop/web.1 failed 3 times in a row: exit code 1\n" +
        "orchd goes on trying. Why: `orchd explain shop/web`; output: `orchd logs shop/web`.\n" +
        "See `orchd ps shop`.\n",
    );
  });

  test("with 4 when the time is over", async () => {
    const clock = new FakeClock();
    const routes = {
      ...scaled,
      [PROGRESS]: () => {
        queueMicrotask(() => clock.advance(90_000));
        return openLines(aProgress([aServiceSummary()]));
      },
    };
    const { code, err } = await ask(routes, "scale web=3 --timeout 90s", new FakeIo({ clock }));
    expect(code).toBe(4);
    expect(err).toContain("shop/web did not get there within 90 s; it goes on\n");
  });

  test("with 130 at Ctrl-C, while the work goes on", async () => {
    const io = new FakeIo();
    const routes = {
      ...scaled,
      [PROGRESS]: () => {
        queueMicrotask(() => io.interrupt());
        return openLines(aProgress([aServiceSummary()]));
      },
    };
    const { code, err } = await ask(routes, "scale web=3", io);
    expect(code).toBe(130);
    expect(err).toBe("No longer watching shop/web; it goes on\nSee `orchd ps shop`.\n");
    expect(io.interrupt()).toBe(false);
  });

  test("with 3 when the server goes away", async () => {
    const routes = { ...scaled, [PROGRESS]: () => lines(aProgress([aServiceSummary()])) };
    const { code, err } = await ask(routes, "scale web=3");
    expect(code).toBe(3);
    expect(err).toContain("stopped telling how far shop/web is");
  });

  test("with 1 when someone removes the service meanwhile", async () => {
    const routes = { ...scaled, [PROGRESS]: () => lines(aProgress([], { removed: true })) };
    const { code, err } = await ask(routes, "scale web=3");
    expect(code).toBe(1);
    expect(err).toContain("shop/web was removed meanwhile");
  });

  test("only after a while when the service had failed before it converged", async () => {
    const clock = new FakeClock();
    const io = new FakeIo({ clock });
    const write = io.stdout.write.bind(io.stdout);
    // Time goes on once the convergence was shown and the waiting for it to last has begun.
    io.stdout.write = async (data) => {
      await write(data);
      setImmediate(() => clock.advance(10_000));
    };
    const done = aProgress([aReadyService({ failures: 1 })]);
    const { code } = await ask({ ...scaled, [PROGRESS]: () => openLines(done) }, "scale web=3", io);
    expect(code).toBe(0);
  });
});

describe("orchd restart", () => {
  test("finds the service by its short name", async () => {
    const found = { kind: "service", id: "s1", name: "shop/web", stack: "shop", service: "web" };
    const routes = {
      "GET /v1/resolve": () => found,
      "POST /v1/services/shop/web/restart": () => aServiceSummary(),
      [PROGRESS]: () => openLines(aProgress([aReadyService()])),
    };
    expect(await ask(routes, "restart web")).toMatchObject({ code: 0 });
  });

  test("refuses what is no service", async () => {
    const routes = { "GET /v1/resolve": () => ({ kind: "node", id: "n1", name: "n1" }) };
    const { code, err } = await ask(routes, "restart n1");
    expect(code).toBe(2);
    expect(err).toContain("n1 is a node");
  });
});

describe("orchd down", () => {
  const removed = { "DELETE /v1/stacks/shop": () => new Response(null, { status: 202 }) };

  test("waits until the stack is gone", async () => {
    const stopping = aProgress([aServiceSummary({ wanted: 0, running: 2 })]);
    const gone = aProgress([], { removed: true });
    const routes = { ...removed, "GET /v1/stacks/shop/progress": () => lines(stopping, gone) };
    const { code, out } = await ask(routes, "down shop -v");
    expect(code).toBe(0);
    expect(server?.requests[0]?.path).toBe("/v1/stacks/shop?volumes=true");
    expect(out).toBe(
      "shop/web: stopping, 2 tasks left\nshop/web: removed\nstack shop is removed\n",
    );
  });

  test("is done when the stack is gone before anyone could look", async () => {
    expect(await ask(removed, "down shop")).toMatchObject({ code: 0 });
  });

  test("tells of a stack that is not there", async () => {
    const { code, err } = await ask({}, "down shop");
    expect(code).toBe(1);
    expect(err).toContain("there is no /v1/stacks/shop");
  });
});
