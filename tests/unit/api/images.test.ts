import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { aNode } from "../../builders.ts";
import { anApi, FakeAgent, type Refusal } from "./fixture.ts";

const world = { nodes: [aNode("n1"), aNode("n2")] };
const archive = (body: string) => ({ method: "POST", body });

describe("images", () => {
  test("are listed by node", async () => {
    const { app } = await anApi(world, [new FakeAgent("n2"), new FakeAgent("n1")]);
    const answer = (await (await app.request("/v1/images")).json()) as { node: string }[];
    expect(answer.map(({ node }) => node)).toEqual(["n1", "n2"]);
  });

  test("are loaded byte for byte, also larger than any other body may be", async () => {
    const { app, calls } = await anApi(world);
    const body = "0123456789abcdef".repeat(320 * 1024);
    const response = await app.request("/v1/images", archive(body));
    expect(await response.json()).toEqual({ references: ["localhost/web:1"], nodes: [] });
    expect(calls[1]?.[1] === body).toBe(true);
    expect((await app.request("/v1/images", { method: "POST" })).status).toBe(400);
  });

  test("that can't be kept are told in one sentence", async () => {
    const { app, deps } = await anApi(world);
    const failure = new OrchdError("noSpace", "the disk has no room for the image");
    deps.images.load = () => Promise.reject(failure);
    const response = await app.request("/v1/images", archive("image"));
    expect(response.status).toBe(507);
    expect(((await response.json()) as Refusal).error.message).toBe(failure.message);
  });

  test("are saved together, removed by name, and pruned", async () => {
    const { app, calls } = await anApi(world);
    const saved = await app.request("/v1/images/archive?reference=web:1&reference=db:2");
    expect(await saved.text()).toBe("an archive");
    expect((await app.request("/v1/images/archive")).status).toBe(400);
    const remove = "/v1/images/kept?reference=web:1&force=true";
    expect(await (await app.request(remove, { method: "DELETE" })).json()).toEqual({
      freedBytes: 7,
    });
    expect(calls).toEqual([
      ["save", "web:1", "db:2"],
      ["remove", "web:1", { force: true }],
    ]);
    expect((await app.request("/v1/images/prune", { method: "POST" })).status).toBe(200);
  });

  test("are fetched by nodes with a label, before a task needs them", async () => {
    const { app, calls } = await anApi(world);
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ references: ["web:1"], labels: { zone: "hall" } });
    const answer = await app.request("/v1/images/fetch", { method: "POST", headers, body });
    expect(await answer.json()).toEqual({ references: ["web:1"], nodes: [] });
    expect(calls).toEqual([["fetch", "web:1", { zone: "hall" }]]);
  });

  test("are pulled and pushed under /v2", async () => {
    const { app } = await anApi(world);
    for (const path of ["/v2/", "/v2/team/web/manifests/1"]) {
      const answer = await app.request(path, { method: "PUT", body: "{}" });
      expect(await answer.text()).toBe(`PUT ${path}`);
    }
  });
});
