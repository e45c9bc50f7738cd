import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { ApiError } from "../../../src/api/client-answer.ts";
import { OrchdError } from "../../../src/lib/errors.ts";

const directory = mkdtempSync(join(tmpdir(), "orchd-client-"));
let count = 0;
/** Each server has a socket of its own: one that stops may still hold its name for a moment. */
let socketPath = join(directory, "none.sock");
let client = ApiClient.onSocket(socketPath);
let stop: (() => Promise<unknown>) | undefined;

afterEach(async () => {
  await stop?.();
  stop = undefined;
});
afterAll(() => rmSync(directory, { recursive: true }));

function renew(): void {
  socketPath = join(directory, `${++count}.sock`);
  client = ApiClient.onSocket(socketPath, 2000);
}

function serve(answer: (request: Request) => Response | Promise<Response>): void {
  renew();
  const server = Bun.serve({ unix: socketPath, fetch: answer });
  stop = () => server.stop(true);
}

/** Answers each connection with these bytes, then what `after` does to it. */
async function serveRaw(bytes: string, after: (socket: Socket) => void): Promise<void> {
  renew();
  const server: Server = createServer((socket) => {
    socket.once("data", () => socket.write(bytes, () => after(socket)));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  stop = () => new Promise((resolve) => server.close(resolve));
}

async function failureOf(promise: Promise<unknown>): Promise<OrchdError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OrchdError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("calls", () => {
  test("names are part of the path, whatever is in them", async () => {
    const seen: string[] = [];
    serve((request) => {
      seen.push(`${request.method} ${request.url.replace("http://orchd", "")}`);
      return Response.json([]);
    });
    await client.restart("a/../b", "c?d");
    await client.remove("shop", { volumes: true });
    await client.apply("shop", { services: {}, volumes: [] }, { dryRun: false, prune: true });
    await client.tasks({ stack: "a&b=c" });
    expect(seen).toEqual([
      "POST /v1/services/a%2F..%2Fb/c%3Fd/restart",
      "DELETE /v1/stacks/shop?volumes=true",
      "PUT /v1/stacks/shop?prune=true",
      "GET /v1/tasks?stack=a%26b%3Dc",
    ]);
  });

  test("names that would be another path are asked for nowhere", async () => {
    const seen: string[] = [];
    serve((request) => {
      seen.push(request.url);
      return Response.json([]);
    });
    for (const name of [".", ".."]) {
      const calls = [
        async () => client.removeVolume(name),
        async () => client.volumeFiles.place(name, undefined),
        async () => client.remove(name),
        async () => client.removeNode(name),
        async () => client.restart("shop", name),
      ];
      for (const call of calls) {
        expect(await call().catch(String)).toContain("is not a name");
      }
    }
    expect(seen).toEqual([]);
  });

  test("an error of the server keeps its code, sentence and details", async () => {
    const error = { code: "conflict", message: "port 80 is taken", details: ["by blog/web"] };
    serve(() => Response.json({ error }, { status: 409 }));
    const failure = await failureOf(client.stacks());
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject(error);
  });

  test("an error of a newer server that this client does not know is an internal one", async () => {
    const error = { code: "tooShiny", message: "no", details: [] };
    serve(() => Response.json({ error }, { status: 500 }));
    expect(await failureOf(client.stacks())).toMatchObject({ code: "internal", message: "no" });
  });

  test("whatever else answers on the socket is told apart from orchd", async () => {
    serve(() => new Response("<h1>It works!</h1>"));
    expect((await failureOf(client.stacks())).message).toContain("something other than an orchd");
    await stop?.();
    serve(() => new Response("nginx", { status: 502 }));
    expect((await failureOf(client.stacks())).code).toBe("unreachable");
  });

  test("a server that does not answer in time is told so", async () => {
    serve(() => new Promise<Response>(() => {}));
    const hasty = ApiClient.onSocket(socketPath, 20);
    expect(await failureOf(hasty.stacks())).toMatchObject({ code: "timedOut", retryable: true });
  });

  test("no server is unreachable, and one that breaks off as well", async () => {
    renew();
    expect((await failureOf(client.stacks())).message).toStartWith("orchd server does not answer");
    await serveRaw("", (socket) => socket.destroy());
    expect((await failureOf(client.stacks())).message).toContain("broke: try again");
  });
});

describe("streams", () => {
  const event = { at: 1, version: 1, kind: "task", action: "ü", id: "a", name: "n", message: "" };
  const open = (signal = new AbortController().signal) => client.events({ follow: true }, signal);

  test("lines are put together from whatever pieces come, heartbeats are left out", async () => {
    const bytes = new TextEncoder().encode(
      `${JSON.stringify(event)}\n\n\n${JSON.stringify(event)}`,
    );
    serve(() => {
      const pieces = Array.from(bytes, (byte) => new Uint8Array([byte]));
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          const piece = pieces.shift();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
      });
      return new Response(body);
    });
    expect(await collect<unknown>(open())).toEqual([event, event]);
  });

  test("an error comes from the status, or from a line on the way", async () => {
    const error = { code: "notFound", message: "there is no such stack", details: [] };
    serve(() => Response.json({ error }, { status: 404 }));
    expect(await failureOf(collect(open()))).toMatchObject(error);
    await stop?.();
    serve(() => new Response(`${JSON.stringify(event)}\n${JSON.stringify({ error })}\n`));
    expect(await failureOf(collect(open()))).toMatchObject(error);
  });

  test("one that is cut off fails, and is not taken for its end", async () => {
    const line = `${JSON.stringify(event)}\n`;
    const chunk = `${line.length.toString(16)}\r\n${line}\r\n`;
    await serveRaw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`, (socket) =>
      socket.destroy(),
    );
    expect((await failureOf(collect(open()))).code).toBe("unreachable");
  });

  test("an abort ends it quietly, before, while and after lines come", async () => {
    serve(() => new Response(new ReadableStream({ start: (c) => c.enqueue("\n") })));
    expect(await collect(open(AbortSignal.abort()))).toEqual([]);
    const abort = new AbortController();
    const collecting = collect(open(abort.signal));
    queueMicrotask(() => abort.abort());
    expect(await collecting).toEqual([]);
  });

  test("leaving it early closes the connection", async () => {
    const left = Promise.withResolvers<void>();
    serve((request) => {
      request.signal.addEventListener("abort", () => left.resolve());
      const line = `${JSON.stringify(event)}\n`;
      return new Response(new ReadableStream({ start: (c) => c.enqueue(line) }));
    });
    for await (const _ of open()) break;
    await left.promise;
  });
});
