import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { ExecSession, TerminalSize } from "../../../src/model/session.ts";
import { aNode, aPendingTask, aService, aTask } from "../../builders.ts";
import { anApi, FakeAgent, type Refusal, until } from "./fixture.ts";

const web = aService();
const world = {
  nodes: [aNode()],
  services: [web],
  tasks: [aTask(web, "t1"), aPendingTask(web, "t2", { slot: "2" })],
};
const START = JSON.stringify({ command: ["cat"], tty: false, stdin: true, environment: {} });

let directory: string;
let socketPath: string;
let listener: ApiListener;
let agent: FakeAgent;
let api: Awaited<ReturnType<typeof anApi>>;
beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-exec-"));
  socketPath = join(directory, "orchd.sock");
  agent = new FakeAgent("n1");
  api = await anApi(world, [agent]);
  listener = await serveApi(api.app, { socketPath });
});
afterEach(async () => {
  await listener.close();
  fs.rmSync(directory, { recursive: true });
});

type Output = { stream: "stdout" | "stderr"; data: Uint8Array };

/** A command that prints what it reads, until its input ends. */
class Cat implements ExecSession {
  readonly #input = new TransformStream<Uint8Array, Uint8Array>();
  readonly #writer = this.#input.writable.getWriter();
  readonly sizes: TerminalSize[] = [];
  closed = false;
  readonly exitCode = Promise.resolve(3);

  get output(): ExecSession["output"] {
    return this.print();
  }

  async *print(): AsyncGenerator<Output> {
    yield { stream: "stderr", data: new TextEncoder().encode("ready") };
    for await (const data of this.#input.readable) yield { stream: "stdout", data };
  }

  write(data: Uint8Array): Promise<void> {
    return this.#writer.write(data);
  }

  closeStdin(): void {
    void this.#writer.close();
  }

  async resize(size: TerminalSize): Promise<void> {
    this.sizes.push(size);
  }

  close(): void {
    this.closed = true;
  }
}

/** The client's end: every message as text, binary ones with their stream's number first. */
class Client {
  readonly socket: WebSocket;
  readonly messages: unknown[] = [];
  bytes = 0;
  readonly #closed = Promise.withResolvers<void>();
  closed = false;

  constructor(query: string, headers: Record<string, string> = {}) {
    const url = `ws+unix://${socketPath}:/v1/exec?${query}`;
    this.socket = new WebSocket(url, { headers });
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data === "string") this.messages.push(JSON.parse(data));
      else this.#onBytes(new Uint8Array(data));
    });
    this.socket.addEventListener("error", () => {});
    this.socket.addEventListener("close", () => {
      this.closed = true;
      this.#closed.resolve();
    });
  }

  #onBytes(data: Uint8Array): void {
    this.bytes += data.length - 1;
    if (data.length < 100) {
      this.messages.push(`${data[0]} ${new TextDecoder().decode(data.subarray(1))}`);
    }
  }

  /** Sends once the connection is there. */
  async send(...messages: (string | Uint8Array)[]): Promise<void> {
    await until(() => this.socket.readyState === WebSocket.OPEN);
    for (const message of messages) this.socket.send(message);
  }

  end(): Promise<void> {
    return this.#closed.promise;
  }
}

describe("a command in a task", () => {
  test("reads what is sent, prints on two streams, and ends with its exit code", async () => {
    const cat = new Cat();
    agent.session = cat;
    const client = new Client("task=web.1");
    const size = { columns: 120, rows: 40 };
    const resize = JSON.stringify({ type: "resize", size });
    const input = new TextEncoder().encode("hello");
    await client.send(START, resize, input, JSON.stringify({ type: "eof" }));
    await client.end();
    expect(client.messages).toEqual([
      { type: "started" },
      "2 ready",
      "1 hello",
      { type: "exit", code: 3 },
    ]);
    expect(cat.sizes).toEqual([size]);
    expect(agent.executed).toEqual([
      { command: ["cat"], tty: false, stdin: true, environment: {} },
    ]);
  });

  test("sends no faster than the client reads", async () => {
    const chunk = new Uint8Array(256 * 1024);
    const client = new Client("task=web.1");
    const ahead: number[] = [];
    agent.session = new (class extends Cat {
      override async *print() {
        for (let made = 1; made <= 200; made++) {
          ahead.push(made * chunk.length - client.bytes);
          yield { stream: "stdout" as const, data: chunk };
        }
      }
    })();
    await client.send(START);
    await client.end();
    expect(client.bytes).toBe(200 * chunk.length);
    // What the sockets hold; a sender that does not wait is ahead by all of it.
    expect(Math.max(...ahead)).toBeLessThan(20 * chunk.length);
    expect(client.messages).toEqual([{ type: "started" }, { type: "exit", code: 3 }]);
  });

  test("gets its input no faster than it reads it, and all of it in order", async () => {
    const received: number[] = [];
    const gate = Promise.withResolvers<void>();
    agent.session = new (class extends Cat {
      override async write(data: Uint8Array) {
        received.push(data[0] ?? -1);
        await gate.promise;
      }
    })();
    const client = new Client("task=web.1");
    const pieces = Array.from({ length: 50 }, (_, i) => new Uint8Array(65_536).fill(i));
    await client.send(START, ...pieces);
    // What waits here is bounded; the rest waits in the sockets and with the client.
    await until(() => received.length === 1 && client.socket.bufferedAmount > 0);
    gate.resolve();
    await until(() => received.length === 50);
    expect(received).toEqual(Array.from({ length: 50 }, (_, i) => i));
    client.socket.close();
  });

  test("loses its terminal when the client goes", async () => {
    const cat = new Cat();
    agent.session = cat;
    const client = new Client("task=web.1");
    await client.send(START);
    await until(() => client.messages.length > 0);
    client.socket.close();
    await until(() => cat.closed);
  });

  test("is noticed to be without a client, though it does not read its input", async () => {
    const cat = new (class extends Cat {
      override write() {
        return new Promise<void>(() => {});
      }
    })();
    agent.session = cat;
    const client = new Client("task=web.1");
    await client.send(START, new Uint8Array(512 * 1024));
    await until(() => api.clock.waiting === 1);
    client.socket.terminate();
    await until(() => client.closed);
    api.clock.advance(60_000);
    await until(() => cat.closed);
  });

  const refusals: [title: string, query: string, first: string, code: string, message: RegExp][] = [
    ["an unknown task", "task=web.9", START, "notFound", /no task named "web\.9"/],
    ["a task that does not run", "task=web.2", START, "conflict", /shop\/web\.2 is pending/],
    ["no command", "task=web.1", "{}", "invalid", /command: /],
    ["an empty command", "task=web.1", START.replace('"cat"', ""), "invalid", /command: /],
    ["what is not JSON", "task=web.1", "hunter2", "invalid", /^(?!.*hunter2)/],
  ];
  for (const [title, query, first, code, message] of refusals) {
    test(`is refused for ${title}, with the reason as the last message`, async () => {
      const client = new Client(query);
      await client.send(first);
      await client.end();
      expect(client.messages).toEqual([
        { type: "error", code, message: expect.stringMatching(message) },
      ]);
    });
  }

  test("tells what the agent says of a failure", async () => {
    agent.failure = new OrchdError("notFound", "no such program: cat");
    const client = new Client("task=web.1");
    await client.send(START);
    await client.end();
    expect(client.messages).toEqual([
      { type: "error", code: "notFound", message: "no such program: cat" },
    ]);
  });

  test("is given up when the client does not say which", async () => {
    const client = new Client("task=web.1");
    await until(() => client.socket.readyState === WebSocket.OPEN && api.clock.waiting === 1);
    api.clock.advance(10_000);
    await client.end();
    expect(client.messages).toMatchObject([{ type: "error", code: "timedOut" }]);
  });

  test("can't be run by a page of another site, nor without a WebSocket", async () => {
    const foreign = new Client("task=web.1", { origin: "https://example.com" });
    await foreign.end();
    expect(foreign.messages).toEqual([]);
    const response = await api.app.request("/v1/exec?task=web.1");
    expect(response.status).toBe(400);
    expect(((await response.json()) as Refusal).error.message).toBe(
      "this address takes WebSockets only",
    );
  });
});
