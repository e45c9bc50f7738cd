import { describe, expect, test } from "bun:test";
import { anApi } from "./fixture.ts";

interface Operation {
  summary?: string;
  responses?: Record<string, { content?: Record<string, { schema?: object }> }>;
  requestBody?: { content: Record<string, { schema: { properties?: object } }> };
  parameters?: { name: string; in: string; required?: boolean }[];
}
interface Description {
  openapi: string;
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
}

async function description(): Promise<Description> {
  const { app } = await anApi();
  return (await (await app.request("/v1/openapi.json")).json()) as Description;
}

describe("the description of the API", () => {
  test("has every route that the app answers, and no other", async () => {
    const { app } = await anApi();
    const routes = app.routes
      .filter((route) => route.method !== "ALL" && route.path !== "/v1/openapi.json")
      .map((route) => `${route.method} ${route.path.replaceAll(/:(\w+)/g, "{$1}")}`);
    const { openapi, info, paths } = await description();
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(openapi).toStartWith("3.1");
    expect(info.version).toBe("1.2.3");
    expect(described.sort()).toEqual([...new Set(routes)].sort());
    expect(described).toHaveLength(87);
  });

  test("says of each route what it is for and what an error looks like", async () => {
    const operations = Object.values((await description()).paths).flatMap(Object.values);
    const silent = operations.filter((operation: Operation) => {
      const problem = operation.responses?.["default"]?.content?.["application/json"]?.schema;
      return operation.summary === undefined || problem === undefined;
    });
    expect(silent).toEqual([]);
  });

  test("is made from the schemas that validate", async () => {
    const { paths } = await description();
    const apply = paths["/v1/stacks/{stack}"]?.["put"];
    const body = apply?.requestBody?.content["application/json"]?.schema.properties ?? {};
    expect(Object.keys(body)).toEqual(["services", "volumes", "items"]);
    expect(apply?.parameters?.map((p) => `${p.in} ${p.name}`)).toEqual([
      "path stack",
      "query dryRun",
      "query prune",
    ]);
  });
});
