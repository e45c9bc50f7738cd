import { afterEach, describe, expect, test } from "bun:test";
import { parseLinkWindow } from "../../../src/model/link.ts";
import { aNode } from "../../builders.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, problem, type Routes } from "./fake-server.ts";
import { aTaskSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function ask(routes: Routes, line: string) {
  const io = new FakeIo();
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(line.split(" "), io);
}

const sent = () => server?.requests.map(({ method, path, body }) => `${method} ${path} ${body}`);
const node = { ...aNode("h2"), tasks: 2, reserved: { cpuMillis: 500, memoryBytes: 0 } };

describe("orchd node", () => {
  const cases: [string, string, string][] = [
    ["drain", "drain", "node h2 is drained: its tasks move away; it holds 2 tasks\n"],
    ["pause", "pause", "node h2 is paused: it gets no new task; it holds 2 tasks\n"],
    ["activate", "active", "node h2 is active: it takes tasks; it holds 2 tasks\n"],
  ];
  for (const [command, availability, told] of cases) {
    test(`${command} says so to the server, for each node`, async () => {
      const routes = {
        "PUT /v1/nodes/h2/availability": () => node,
        "PUT /v1/nodes/h3/availability": () => problem("notFound", "there is no node h3"),
      };
      const { code, out, err } = await ask(routes, `node ${command} h2 h3`);
      const body = JSON.stringify({ availability });
      expect({ code, out, err }).toEqual({ code: 1, out: told, err: "there is no node h3\n" });
      expect(sent()).toEqual([
        `PUT /v1/nodes/h2/availability ${body}`,
        `PUT /v1/nodes/h3/availability ${body}`,
      ]);
    });
  }

  test("drain waits until the nodes are empty, and says what is left", async () => {
    let tasks = 3;
    const routes = {
      "PUT /v1/nodes/h2/availability": () => node,
      [`GET /v1/nodes/${node.id}`]: () => ({ ...node, tasks: --tasks, reason: "", holds: [] }),
    };
    const { code, out } = await ask(routes, "node drain h2 --deadline 30m --wait");
    expect([code, out]).toEqual([
      0,
      "node h2 is drained: its tasks move away, all within 30 min; it holds 2 tasks\n" +
        "h2 holds 2 tasks\nh2 holds 1 task\nnothing is left\n",
    ]);
    const body = JSON.stringify({ availability: "drain", deadlineMs: 1_800_000 });
    expect(sent()?.[0]).toBe(`PUT /v1/nodes/h2/availability ${body}`);
  });

  test("drain that waits says so when the time is over", async () => {
    const routes = {
      "PUT /v1/nodes/h2/availability": () => node,
      [`GET /v1/nodes/${node.id}`]: () => ({ ...node, reason: "", holds: [] }),
    };
    const { code, out } = await ask(routes, "node drain h2 --wait --timeout 0s");
    expect([code, out.trim().split("\n").at(-1)]).toEqual([4, "h2 holds 2 tasks"]);
  });

  test("label sets and removes labels", async () => {
    const routes = { "POST /v1/nodes/h2/labels": () => node };
    const { code, out } = await ask(routes, "node label h2 zone=north disk- note=a=b- --json");
    expect([code, JSON.parse(out)]).toEqual([0, [node]]);
    const change = { set: { zone: "north", note: "a=b-" }, remove: ["disk"] };
    expect(sent()).toEqual([`POST /v1/nodes/h2/labels ${JSON.stringify(change)}`]);
  });

  for (const pair of ["zone", "=north", "zone=a zone-"]) {
    test(`label refuses ${pair}`, async () => {
      const { code, err } = await ask({}, `node label h2 ${pair}`);
      expect(code).toBe(2);
      expect(err).toMatch(/says nothing of a label|is named twice/);
      expect(sent()).toEqual([]);
    });
  }

  test("link says what is named alone", async () => {
    const routes = { "POST /v1/nodes/h2/link": () => node };
    const told = await ask(routes, "node link h2 --limit 2MiB/s --window 22:00-06:00");
    expect(told).toMatchObject({ code: 0, out: "node h2 has its link; it holds 2 tasks\n" });
    const windows = [parseLinkWindow("Daily 22:00-06:00 UTC")];
    const first = { bytesPerSecond: 2_097_152, windows };
    expect(sent()).toEqual([`POST /v1/nodes/h2/link ${JSON.stringify(first)}`]);
    await server?.stop();
    await ask(routes, "node link h2 --limit none --window any");
    const second = { bytesPerSecond: null, windows: [] };
    expect(sent()).toEqual([`POST /v1/nodes/h2/link ${JSON.stringify(second)}`]);
    await server?.stop();
    await ask(routes, "node link h2 --window any");
    expect(sent()).toEqual([`POST /v1/nodes/h2/link {"windows":[]}`]);
  });

  for (const [flags, why] of [
    ["", "say what its link may be used for, with --limit or --window"],
    ["--limit 2", "must be like 2MiB/s"],
    ["--limit 1KiB/s", "and 8KiB/s at least"],
    ["--window night", 'must be like "Mon-Fri 22:00-05:00 Europe/Berlin"'],
  ]) {
    test(`link refuses ${flags || "to do nothing"}`, async () => {
      const { code, err } = await ask({}, `node link h2 ${flags}`.trim());
      expect([code, err]).toEqual([2, expect.stringContaining(why ?? "")]);
      expect(sent()).toEqual([]);
    });
  }

  test("rm asks for force only when told to, and passes on a refusal", async () => {
    const refusal = problem("conflict", "node h2 is ready and holds 2 tasks: drain it first");
    const routes = {
      "DELETE /v1/nodes/h2": ({ path }: { path: string }) =>
        path.endsWith("?force=true") ? new Response(null, { status: 204 }) : refusal,
    };
    expect(await ask(routes, "node rm h2")).toMatchObject({
      code: 1,
      err: "node h2 is ready and holds 2 tasks: drain it first\n",
    });
    await server?.stop();
    expect(await ask(routes, "node rm h2 --force")).toMatchObject({
      code: 0,
      out: "node h2 is removed\n",
    });
  });

  test("inspect shows health, why, labels and tasks", async () => {
    const labels = { zone: "north" };
    const link = { bytesPerSecond: 1_048_576 };
    const holds = [aTaskSummary({ message: "node h2 is down for 12 s" })];
    const reason = "its session is lost for 17 s";
    const inspection = {
      ...node,
      health: "down",
      since: Date.now() - 12_000,
      labels,
      link,
      reason,
      holds,
    };
    const routes = { "GET /v1/nodes/h2": () => inspection };
    const { out } = await ask(routes, "node inspect h2");
    expect(out).toContain("health           down for 12 s: its session is lost for 17 s\n");
    expect(out).toContain("labels           zone=north\n");
    expect(out).toContain("link             1 MiB/s at most\n");
    expect(out).toContain("shop/web.1  running  running  node h2 is down for 12 s\n");
    await server?.stop();
    const asJson = await ask(routes, "node inspect h2 --json");
    expect(JSON.parse(asJson.out)).toEqual([inspection]);
  });
});
