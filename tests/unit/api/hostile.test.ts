import { describe, expect, test } from "bun:test";
import { BODY_BYTES_MAX } from "../../../src/api/api.ts";
import { aSpec, aStack } from "../../builders.ts";
import { anApi, json, type Refusal } from "./fixture.ts";

const SECRET = "hunter2";
const web = JSON.stringify(aSpec());

function withReplicas(number: string): string {
  return `{"services":{"web":${web.replace('"replicas":1', `"replicas":${number}`)}},"volumes":[]}`;
}

/** Bodies that may change nothing, with the status and the start of the refusal. */
const BODIES: [title: string, body: string, status: number, message: string][] = [
  ["is empty", "", 400, "the body is not valid JSON"],
  ["is not JSON", `{"password":"${SECRET}"`, 400, "the body is not valid JSON"],
  ["is cut", '{"services":', 400, "the body is not valid JSON"],
  ["is null", "null", 400, "the body is not valid"],
  ["is a list", "[]", 400, "the body is not valid"],
  ["nests lists 100,000 deep", "[".repeat(100_000), 400, "the body is nested deeper"],
  ["nests maps 100,000 deep", '{"a":'.repeat(100_000), 400, "the body is nested deeper"],
  [
    "nests behind quotes and escapes",
    `{"services":{},"volumes":["\\"]","\\\\"],"x":${"[".repeat(100)}${"]".repeat(100)}}`,
    400,
    "the body is nested deeper",
  ],
  [
    "has __proto__ as a service",
    `{"services":{"__proto__":${web}},"volumes":[]}`,
    400,
    "the body has a key",
  ],
  [
    "hides __proto__ in an escape",
    `{"services":{"\\u005f_proto__":${web}},"volumes":[]}`,
    400,
    "the body has a key",
  ],
  [
    "has a service named as a path",
    `{"services":{"../x":${web}},"volumes":[]}`,
    400,
    "the body is",
  ],
  ["has a number past counting", withReplicas("1e308"), 400, "the body is not valid"],
  ["has a number beyond 2^53", withReplicas("18446744073709551616"), 400, "the body is not valid"],
  ["is larger than 4 MiB", `"${"x".repeat(BODY_BYTES_MAX)}"`, 413, "the body is larger than 4 MiB"],
];

describe("a request whose body", () => {
  for (const [title, body, status, message] of BODIES) {
    test(`${title} is refused without a change and without its text`, async () => {
      const { app, calls, logged } = await anApi();
      const response = await app.request("/v1/stacks/shop", json("PUT", body));
      const text = await response.text();
      const { error } = JSON.parse(text) as Refusal;
      expect(response.status).toBe(status);
      expect(error.message).toStartWith(message);
      expect(text).not.toContain(SECRET);
      expect(text.length).toBeLessThan(20_000);
      expect([calls, logged]).toEqual([[], []]);
    });
  }

  test("never ends is cut off at 4 MiB", async () => {
    const { app } = await anApi();
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const headers = { "content-type": "application/json" };
    const response = await app.request("/v1/scale", { method: "POST", body, headers });
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(2 * BODY_BYTES_MAX);
  });

  test("is of another type is refused, as a page of another site would send it", async () => {
    const { app, calls } = await anApi();
    const body = '{"services":{},"volumes":[]}';
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]) {
      const headers = { "content-type": type };
      const response = await app.request("/v1/stacks/shop", { method: "PUT", body, headers });
      expect(response.status).toBe(400);
    }
    expect(calls).toEqual([]);
  });

  test("has more problems than anyone reads is answered with the first of them", async () => {
    const { app } = await anApi();
    const body = { services: {}, volumes: Array.from({ length: 1000 }, () => 1) };
    const response = await app.request("/v1/stacks/shop", json("PUT", body));
    const { error } = (await response.json()) as Refusal;
    expect(error.details).toHaveLength(51);
    expect(error.details.at(-1)).toBe("and 950 more");
  });

  test("has keys that could forge a line of a terminal is answered with them escaped", async () => {
    const { app } = await anApi();
    const body = { services: { "\u001b[2J\nroot": {} }, volumes: [] };
    const text = await (await app.request("/v1/stacks/shop", json("PUT", body))).text();
    const { error } = JSON.parse(text) as Refusal;
    expect(error.details.join("")).not.toMatch(/[\u0000-\u001f]/);
  });
});

describe("an address", () => {
  test("that does not exist is answered with 404, however it is written", async () => {
    const { app } = await anApi({ stacks: [aStack()] });
    const paths = [
      "/",
      "/v1",
      "/v1/",
      "/v1//stacks",
      "/v1/stacks/",
      "/V1/stacks",
      "/v1/stacks/a/b",
    ];
    for (const path of [...paths, "/v1/stacks/shop/../shop", "/v1/%73tacks", "/v3/stacks"]) {
      const response = await app.request(path, { method: "GET" });
      const allowed =
        path === "/v1/stacks/shop/../shop" ? 405 : path === "/v1/%73tacks" ? 200 : 404;
      expect([path, response.status]).toEqual([path, allowed]);
    }
  });

  test("tells which methods it takes", async () => {
    const { app } = await anApi();
    const response = await app.request("/v1/stacks/shop", { method: "POST" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("DELETE, PUT");
    expect(((await response.json()) as Refusal).error.message).toBe(
      "this address takes DELETE, PUT only",
    );
  });

  test("with a query that is not valid is refused with its place", async () => {
    const { app } = await anApi();
    const queries = {
      "/v1/tasks?all=maybe": "all",
      "/v1/tasks?all=true&all=false": "all",
      "/v1/logs?target=web&tail=1e3": "tail",
      "/v1/logs?target=web&since=99999999999999999999": "since",
      "/v1/events?since=-1": "since",
      "/v1/resolve": "target",
      [`/v1/resolve?target=${"x".repeat(256)}`]: "target",
      "/v1/resolve?target=web&kind=cluster": "kind",
    };
    for (const [path, place] of Object.entries(queries)) {
      const response = await app.request(path);
      const { error } = (await response.json()) as Refusal;
      expect([path, response.status]).toEqual([path, 400]);
      expect(error.details[0]).toStartWith(`${place}: `);
    }
  });
});

describe("a failure inside", () => {
  test("is told without its inside, and logged with it", async () => {
    const { app, deps, logged } = await anApi();
    deps.applyStack = () => Promise.reject(new TypeError("undefined is not a function"));
    const body = { services: {}, volumes: [] };
    const response = await app.request("/v1/stacks/shop", json("PUT", body));
    const { error } = (await response.json()) as Refusal;
    expect(response.status).toBe(500);
    expect(error).toEqual({
      code: "internal",
      message: "orchd failed unexpectedly: the log of the server says why",
      details: [],
    });
    expect(logged).toEqual(["a request failed unexpectedly: undefined is not a function"]);
  });
});
