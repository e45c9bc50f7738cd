import { describe, expect, test } from "bun:test";
import type { NodeInspection } from "../../../src/model/summary.ts";
import { aNode, aService, aTask, anId } from "../../builders.ts";
import { anApi, json, type Refusal } from "./fixture.ts";

const service = aService();
const world = {
  nodes: [aNode("h1"), aNode("h2", { health: "down", since: -11_000 })],
  services: [service],
  tasks: [aTask(service, "t", { nodeId: anId("h2") })],
};

describe("a node", () => {
  test("is shown with its health, why, and what it holds", async () => {
    const { app } = await anApi(world);
    const node = (await (await app.request("/v1/nodes/h2")).json()) as NodeInspection;
    expect(node).toMatchObject({ hostname: "h2", health: "down", tasks: 1 });
    expect(node.reason).toBe("its session is connected");
    expect(node.holds.map(({ name, message }) => [name, message])).toEqual([
      ["shop/web.1", "node h2 is down for 12 s"],
    ]);
  });

  test("gets another availability and other labels, by name or id", async () => {
    const { app, calls } = await anApi(world);
    const drain = json("PUT", { availability: "drain" });
    expect((await app.request("/v1/nodes/h1/availability", drain)).status).toBe(200);
    const labels = json("POST", { set: { zone: "north" } });
    expect((await app.request(`/v1/nodes/${anId("h2")}/labels`, labels)).status).toBe(200);
    expect(calls).toEqual([
      ["setAvailability", anId("h1"), "drain"],
      ["setLabels", anId("h2"), { set: { zone: "north" }, remove: [] }],
    ]);
  });

  test("is told what its link may be used for", async () => {
    const { app, calls } = await anApi(world);
    const link = json("POST", { bytesPerSecond: null, windows: [] });
    expect((await app.request("/v1/nodes/h1/link", link)).status).toBe(200);
    const change = { bytesPerSecond: null, windows: [] };
    expect(calls).toEqual([["setLink", anId("h1"), change]]);
    const slow = json("POST", { bytesPerSecond: 1 });
    expect((await app.request("/v1/nodes/h1/link", slow)).status).toBe(400);
  });

  test("is removed, by force where that is asked for", async () => {
    const { app, calls } = await anApi(world);
    for (const path of ["/v1/nodes/h2", "/v1/nodes/h1?force=true"]) {
      expect((await app.request(path, { method: "DELETE" })).status).toBe(204);
    }
    expect(calls).toEqual([
      ["removeNode", anId("h2"), { force: false }],
      ["removeNode", anId("h1"), { force: true }],
    ]);
  });
});

describe("refused are", () => {
  const ask = async (path: string, init?: RequestInit) => {
    const { app, calls } = await anApi(world);
    const response = await app.request(path, init);
    expect(calls).toEqual([]);
    return [response.status, ((await response.json()) as Refusal).error.message];
  };

  test("a node that is not there, with the nearest name", async () => {
    const told = [404, 'there is no node named "h3"; did you mean h1?'];
    expect(await ask("/v1/nodes/h3")).toEqual(told);
    expect(await ask("/v1/nodes/h3", { method: "DELETE" })).toEqual(told);
  });

  test("an availability that there is not, and labels that could hide something", async () => {
    const sleep = json("PUT", { availability: "sleep" });
    expect(await ask("/v1/nodes/h1/availability", sleep)).toEqual([400, "the body is not valid"]);
    for (const key of ["", "a b", "a\u0000", "-a", "x".repeat(256)]) {
      const labels = json("POST", { set: { [key]: "1" } });
      expect(await ask("/v1/nodes/h1/labels", labels)).toEqual([400, "the body is not valid"]);
    }
  });
});

test("a task whose node is down is not ready, and its service says so", async () => {
  const { app } = await anApi(world);
  const [summary] = (await (await app.request("/v1/services")).json()) as unknown[];
  expect(summary).toMatchObject({ ready: 0, converged: false, message: "node h2 is down" });
});
