import { describe, expect, test } from "bun:test";
import type { Progress, ServiceSummary } from "../../../src/model/summary.ts";
import { aNode, anId, aService, aSpec, aStack, aTask } from "../../builders.ts";
import { anApi, json, LineReader, type Refusal } from "./fixture.ts";

const web = aService();
const api = aService({}, { id: anId("api"), name: "api" });
const other = aService({}, { id: anId("other"), stack: "blog", name: "web" });
const cron = aService({ mode: "global" }, { id: anId("cron"), name: "cron" });
const world = {
  nodes: [aNode()],
  stacks: [aStack("shop"), aStack("blog")],
  services: [web, api, other, cron],
};

describe("services", () => {
  test("are listed by name, of one stack or of all", async () => {
    const { app } = await anApi(world);
    const names = async (path: string) => {
      const list = (await (await app.request(path)).json()) as ServiceSummary[];
      return list.map((s) => `${s.stack}/${s.name}`);
    };
    expect(await names("/v1/services")).toEqual(["blog/web", "shop/api", "shop/cron", "shop/web"]);
    expect(await names("/v1/services?stack=blog")).toEqual(["blog/web"]);
    expect(await names("/v1/services?stack=nope")).toEqual([]);
  });

  test("are restarted", async () => {
    const { app, calls } = await anApi(world);
    const response = await app.request("/v1/services/shop/web/restart", { method: "POST" });
    expect(await response.json()).toMatchObject({ id: web.id, name: "web" });
    expect(calls).toEqual([["restart", web.id]]);
  });

  test("that are not there are answered with the nearest name", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/services/shop/wbe/restart", { method: "POST" });
    const { error } = (await response.json()) as Refusal;
    expect(response.status).toBe(404);
    expect(error.message).toBe('there is no service named "shop/wbe"; did you mean shop/web?');
  });

  test("tell their progress alone, and that they are gone", async () => {
    const { app } = await anApi({ ...world, tasks: [aTask(web, "t1")] });
    const lines = new LineReader(await app.request("/v1/services/shop/web/progress"));
    const first = (await lines.next()) as Progress;
    expect(first.services.map((s) => s.id)).toEqual([web.id]);
    expect(first.converged).toBe(true);
    await lines.cancel();
  });
});

describe("scaling", () => {
  const scale = async (services: Record<string, unknown>) => {
    const { app, calls } = await anApi(world);
    const response = await app.request("/v1/scale", json("POST", { services }));
    return { status: response.status, body: (await response.json()) as Refusal, calls };
  };

  test("sets the replicas of all the services named, by short or full name", async () => {
    const { status, calls } = await scale({ api: 4, "blog/web": 0 });
    expect(status).toBe(200);
    expect(calls).toEqual([["scale", { [api.id]: 4, [other.id]: 0 }]]);
  });

  const refusals: [
    title: string,
    services: Record<string, unknown>,
    status: number,
    why: RegExp,
  ][] = [
    ["an unknown service", { api: 1, wep: 2 }, 404, /no service named "wep"; did you mean web\?/],
    ["a name of two services", { web: 1 }, 409, /could be service blog\/web, service shop\/web/],
    ["a global service", { cron: 2 }, 400, /shop\/cron is a global service/],
    ["absurdly many replicas", { api: 10_001 }, 400, /at most 10000 replicas/],
    ["fewer than none", { api: -1 }, 400, /the body is not valid/],
    ["a fraction", { api: 1.5 }, 400, /the body is not valid/],
    ["a number past counting", { api: 1e308 }, 400, /the body is not valid/],
    ["a text", { api: "4" }, 400, /the body is not valid/],
    ["the same service twice", { api: 1, "shop/api": 2 }, 400, /shop\/api is named twice/],
    ["nothing", {}, 400, /no service is named/],
  ];
  for (const [title, services, status, why] of refusals) {
    test(`of ${title} is refused, and nothing is scaled`, async () => {
      const result = await scale(services);
      expect(result.status).toBe(status);
      expect(result.body.error.message).toMatch(why);
      expect(result.calls).toEqual([]);
    });
  }

  test("of a service that is being removed is refused", async () => {
    const leaving = aService(aSpec(), { removing: true });
    const { app } = await anApi({ ...world, services: [leaving] });
    const response = await app.request("/v1/scale", json("POST", { services: { web: 1 } }));
    expect(response.status).toBe(409);
  });
});
