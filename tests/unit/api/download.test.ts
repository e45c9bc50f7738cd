import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Hono } from "hono";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { downloadOf } from "../../../src/api/download.ts";
import type { ApiEnv } from "../../../src/api/env.ts";
import { serveApi } from "../../../src/api/listen.ts";

const PIECES = 64;
const PIECE_BYTES = 256 * 1024;

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-download-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

/** An app that answers with pieces of which each is filled with its number, and those pieces. */
function anApp(): { app: Hono<ApiEnv>; sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  const pieces = () =>
    new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (sent.length === PIECES) return controller.close();
          const piece = new Uint8Array(PIECE_BYTES).fill(sent.length);
          sent.push(piece);
          controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    );
  return { app: new Hono<ApiEnv>().get("/", (c) => downloadOf(c, pieces())), sent };
}

function whole(): Buffer {
  const numbers = Array.from({ length: PIECES }, (_, i) => Buffer.alloc(PIECE_BYTES, i));
  return Buffer.concat(numbers);
}

describe("bytes that are downloaded", () => {
  test("come whole, and the memory of each piece is given back when it was sent", async () => {
    const { app, sent } = anApp();
    const listener = await serveApi(app, { socketPath: join(directory, "orchd.sock") });
    try {
      const answer = await fetch("http://orchd/", { unix: join(directory, "orchd.sock") });
      expect(Buffer.from(await answer.arrayBuffer()).equals(whole())).toBe(true);
      expect(sent.map(({ length }) => length)).toEqual(sent.map(() => 0));
    } finally {
      await listener.close();
    }
  });

  test("are left alone where somebody in this process reads them", async () => {
    const { app, sent } = anApp();
    const answer = await app.request("/");
    expect(Buffer.from(await answer.arrayBuffer()).equals(whole())).toBe(true);
    expect(sent.map(({ length }) => length)).toEqual(sent.map(() => PIECE_BYTES));
  });
});
