import { describe, expect, test } from "bun:test";
import { splitStream } from "../../../src/api/split-stream.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { aNode } from "../../builders.ts";
import { anApi, FakeAgent, type Refusal, until } from "./fixture.ts";

const world = { nodes: [aNode("n1"), aNode("n2")] };
const archive = (body: string) => ({ method: "POST", body });

describe("images", () => {
  test("are listed by node", async () => {
    const { app } = await anApi(world, [new FakeAgent("n2"), new FakeAgent("n1")]);
    const answer = (await (await app.request("/v1/images")).json()) as { node: string }[];
    expect(answer.map(({ node }) => node)).toEqual(["n1", "n2"]);
  });

  test("are loaded into every connected node, byte for byte", async () => {
    const agents = [new FakeAgent("n1"), new FakeAgent("n2")];
    const { app } = await anApi(world, agents);
    // Larger than what any other body may be.
    const body = "0123456789abcdef".repeat(320 * 1024);
    const response = await app.request("/v1/images", archive(body));
    expect(await response.json()).toEqual([
      { node: "n1", references: ["localhost/web:1"] },
      { node: "n2", references: ["localhost/web:1"] },
    ]);
    expect(agents.map((agent) => agent.loaded[0] === body)).toEqual([true, true]);
  });

  test("fail to load when one node fails, after the others are done", async () => {
    const [good, bad] = [new FakeAgent("n1"), new FakeAgent("n2")];
    bad.failure = new OrchdError("noSpace", "the disk of n2 is full");
    const { app } = await anApi(world, [good, bad]);
    const response = await app.request("/v1/images", archive("image"));
    expect(response.status).toBe(507);
    expect(((await response.json()) as Refusal).error.message).toBe("the disk of n2 is full");
  });

  test("have nowhere to go when no node is connected", async () => {
    const { app } = await anApi(world, []);
    expect((await app.request("/v1/images", archive("image"))).status).toBe(503);
    expect((await app.request("/v1/images", { method: "POST" })).status).toBe(400);
  });
});

describe("a split stream", () => {
  test("reads no faster than its slowest reader, until that one gives up", async () => {
    let pulled = 0;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          controller.enqueue(new Uint8Array([++pulled]));
          if (pulled === 100) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const [fast, slow] = splitStream(source, 2);
    const reader = fast?.stream.getReader();
    await reader?.read();
    const second = reader?.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pulled).toBe(1);
    slow?.release();
    await second;
    let rest = 0;
    while ((await reader?.read())?.done === false) rest++;
    expect(rest).toBe(98);
  });

  test("cancels its source when nobody reads any more", async () => {
    let cancelled = false;
    const source = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
    const copies = splitStream(source, 3);
    await Promise.all(copies.map((copy) => copy.stream.cancel()));
    await until(() => cancelled);
  });

  test("fails for every reader when its source does", async () => {
    const source = new ReadableStream<Uint8Array>({
      pull: () => Promise.reject(new Error("the upload broke")),
    });
    const reads = splitStream(source, 2).map((copy) => new Response(copy.stream).text());
    const results = await Promise.allSettled(reads);
    expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
  });
});
