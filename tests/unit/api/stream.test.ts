import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import * as fs from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiEnv } from "../../../src/api/env.ts";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { type LineSink, streamLines } from "../../../src/api/stream.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { LineReader, TestClock, until } from "./fixture.ts";

const clock = new TestClock();

function streaming(produce: (sink: LineSink) => Promise<void>): Hono<ApiEnv> {
  const deps = { clock, log: silentLog };
  return new Hono<ApiEnv>().get("/", (c) => streamLines(c, deps, produce));
}

describe("a stream of lines", () => {
  test("ends with its producer", async () => {
    const app = streaming(async (sink) => {
      await sink.write({ n: 1 });
      await sink.write({ n: 2 });
    });
    const response = await app.request("/");
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toBe('{"n":1}\n{"n":2}\n');
    expect(clock.waiting).toBe(0);
  });

  test("tells of a failure on the way in its last line", async () => {
    const app = streaming(async (sink) => {
      await sink.write({ n: 1 });
      throw new OrchdError("unreachable", "node edge-1 is not connected");
    });
    const lines = await new LineReader(await app.request("/")).rest();
    const message = "node edge-1 is not connected";
    expect(lines).toEqual([{ n: 1 }, { error: { code: "unreachable", message, details: [] } }]);
  });

  test("waits for a reader that does not read", async () => {
    let written = 0;
    const app = streaming(async (sink) => {
      for (; written < 1000 && !sink.signal.aborted; written++) {
        await sink.write("x".repeat(1022));
      }
    });
    const lines = new LineReader(await app.request("/"));
    await until(() => written > 0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBeLessThan(100);
    expect(await lines.rest()).toHaveLength(1000);
  });
});

test("a stream that has ended lets go of whoever still writes", async () => {
  let late: Promise<unknown> = Promise.resolve();
  const app = streaming(async (sink) => {
    // Too much for the reader at once: this write waits for room.
    const waiting = sink.write("x".repeat(200_000));
    late = waiting.then(() => sink.write({ n: 2 }));
  });
  const response = await app.request("/");
  await late;
  expect(await new LineReader(response).rest()).toEqual(["x".repeat(200_000)]);
});

describe("a stream over the socket", () => {
  let directory: string;
  let listener: ApiListener;
  let socketPath: string;
  beforeEach(() => {
    directory = fs.mkdtempSync(join(tmpdir(), "orchd-stream-"));
    socketPath = join(directory, "orchd.sock");
  });
  afterEach(async () => {
    await listener.close();
    fs.rmSync(directory, { recursive: true });
  });

  test("is not written on while its client does not read, and ends when it goes", async () => {
    let written = 0;
    let ended = false;
    const app = streaming(async (sink) => {
      for (; written < 64_000 && !sink.signal.aborted; written++) {
        await sink.write("x".repeat(1022));
      }
      ended = sink.signal.aborted;
    });
    listener = await serveApi(app, { socketPath });
    const client = connect(socketPath);
    client.pause();
    client.write("GET / HTTP/1.1\r\nHost: orchd\r\n\r\n");
    await until(() => written > 0);
    let before = -1;
    await until(() => before === (before = written));
    // What the kernel and the server hold: far less than the 64 MB that there are.
    expect(written).toBeLessThan(16_000);
    client.destroy();
    await until(() => ended);
  });

  test("ends when its client goes while nothing is to be said", async () => {
    let ended = false;
    const app = streaming(async (sink) => {
      await sink.write({ n: 1 });
      await until(() => sink.signal.aborted);
      ended = true;
    });
    listener = await serveApi(app, { socketPath });
    const stop = new AbortController();
    const response = await fetch("http://orchd/", { unix: socketPath, signal: stop.signal });
    expect(response.status).toBe(200);
    stop.abort();
    await until(() => ended);
  });
});
