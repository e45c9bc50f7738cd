import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { ByteStream } from "../../../src/model/session.ts";
import { aNode, aPendingTask, aService, aTask } from "../../builders.ts";
import { anApi, FakeAgent, type Refusal, until } from "./fixture.ts";

const web = aService();
const world = {
  nodes: [aNode()],
  services: [web],
  tasks: [aTask(web, "w1"), aPendingTask(web, "w2", { slot: "2" })],
};

let directory: string;
let listener: ApiListener;
let agent: FakeAgent;
let api: Awaited<ReturnType<typeof anApi>>;
let client: ApiClient;

beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-forward-"));
  agent = new FakeAgent("n1");
  api = await anApi(world, [agent]);
  const socketPath = join(directory, "orchd.sock");
  listener = await serveApi(api.app, { socketPath });
  client = ApiClient.onSocket(socketPath);
});

afterEach(async () => {
  await listener.close();
  fs.rmSync(directory, { recursive: true });
});

/** A connection whose other side is the test. */
class Connection implements ByteStream {
  readonly written: Uint8Array[] = [];
  ended = false;
  closed = false;
  sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly input: AsyncIterable<Uint8Array> = new ReadableStream({
    start: (sink) => void (this.sink = sink),
  });

  async write(data: Uint8Array): Promise<void> {
    this.written.push(data);
  }

  end(): void {
    this.ended = true;
  }

  close(): void {
    this.closed = true;
  }

  get text(): string {
    return Buffer.concat(this.written).toString();
  }
}

async function connected() {
  const there = new Connection();
  agent.connection = there;
  return { there, here: await client.forward("web.1", 80) };
}

async function read(input: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("a connection to a task's port", () => {
  test("carries bytes both ways, and each way ends by itself", async () => {
    const { here, there } = await connected();
    await here.write(Buffer.from("question"));
    here.end();
    await until(() => there.ended);
    expect([agent.forwarded, there.text, there.closed]).toEqual([[80], "question", false]);
    there.sink?.enqueue(Buffer.from("answer"));
    there.sink?.close();
    expect(await read(here.input)).toBe("answer");
    await until(() => there.closed);
  });

  test("goes on in the one way when the other has ended first", async () => {
    const { here, there } = await connected();
    there.sink?.enqueue(Buffer.from("banner"));
    there.sink?.close();
    expect(await read(here.input)).toBe("banner");
    await here.write(Buffer.from("late"));
    await until(() => there.text === "late");
    here.end();
    await until(() => there.closed);
  });

  test("is closed on the node when the client goes", async () => {
    const { here, there } = await connected();
    here.close();
    await until(() => there.closed);
  });

  test("brings no more than the client reads, and all of it in the end", async () => {
    const chunk = new Uint8Array(256 * 1024);
    let made = 0;
    agent.connection = {
      input: (async function* () {
        for (; made < 200; made++) yield chunk;
      })(),
      write: async () => {},
      end: () => {},
      close: () => {},
    };
    const here = await client.forward("web.1", 80);
    let before = -1;
    while (before !== made) {
      before = made;
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(made).toBeLessThan(100);
    let received = 0;
    for await (const data of here.input) received += data.length;
    expect(received).toBe(200 * chunk.length);
    here.close();
  });

  test("tells its reader when it breaks on the node", async () => {
    const { here, there } = await connected();
    there.sink?.error(new OrchdError("unreachable", "the connection broke"));
    const error: unknown = await read(here.input).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unreachable", message: "the connection broke" });
  });

  const refusals: [title: string, task: string, port: number, code: string][] = [
    ["a task that is not there", "web.9", 80, "notFound"],
    ["a task that does not run", "web.2", 80, "conflict"],
    ["a service", "shop/web", 80, "notFound"],
  ];
  for (const [title, task, port, code] of refusals) {
    test(`is refused for ${title}`, async () => {
      const error: unknown = await client.forward(task, port).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code });
    });
  }

  test("is refused with the node's words when nothing listens there", async () => {
    agent.failure = new OrchdError("unreachable", "port 80 of the task refuses connections");
    const error: unknown = await client.forward("web.1", 80).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: "port 80 of the task refuses connections" });
  });

  test("takes a port, and a WebSocket of orchd's own page or of none", async () => {
    for (const port of ["0", "65536", "x", ""]) {
      const response = await api.app.request(`/v1/forward?task=web.1&port=${port}`);
      expect([port, response.status]).toEqual([port, 400]);
    }
    const plain = await api.app.request("/v1/forward?task=web.1&port=80");
    expect(((await plain.json()) as Refusal).error.message).toBe(
      "this address takes WebSockets only",
    );
    const headers = { origin: "https://example.com", host: "orchd" };
    const foreign = await api.app.request("/v1/forward?task=web.1&port=80", { headers });
    expect(foreign.status).toBe(403);
  });
});
