import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ArchiveWriter } from "../../../src/core/archive/archive-writer.ts";
import type { ArchiveEntry } from "../../../src/core/archive/entry.ts";
import { FakeClock, FakeIo, run } from "./fake-io.ts";
import { FakeServer } from "./fake-server.ts";

const PIECE_BYTES = 1_000_000;
const PIECES = 8;
const SECOND_MS = 1000;

let directory: string;
let server: FakeServer;
const clock = new FakeClock();
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-progress-"));
  server = new FakeServer({
    "GET /v1/volumes/shop_data/place": () => null,
    "GET /v1/volumes/shop_data/archive": () => new Response(archiveOverTime()),
  });
});
afterEach(async () => {
  await server.stop();
  fs.rmSync(directory, { recursive: true });
});

/** An archive of one file, a piece of it each second. */
function archiveOverTime(): ReadableStream<Uint8Array> {
  const pieces = piecesOf(PIECES);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = pieces.next();
      if (done === true) return controller.close();
      controller.enqueue(value);
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(SECOND_MS);
    },
  });
}

function* piecesOf(count: number): Generator<Uint8Array> {
  const hasher = new Bun.CryptoHasher("sha256");
  const writer = new ArchiveWriter("volume archive", {
    update: (bytes) => void hasher.update(bytes),
    digest: () => hasher.digest("hex"),
  });
  const size = count * PIECE_BYTES;
  yield writer.begin();
  yield writer.entry({ ...anEntry, size });
  for (let i = 0; i < count; i++) yield writer.data(new Uint8Array(PIECE_BYTES));
  yield writer.padding(size);
  yield writer.end({ changed: 0, skipped: 0 });
}

const anEntry: ArchiveEntry = {
  kind: "file",
  path: "data",
  mode: 0o600,
  uid: 0,
  gid: 0,
  mtimeUs: 0,
  size: 0,
  target: "",
  isSparse: false,
  attributes: [],
};

function backUp(io: FakeIo) {
  return run(["volume", "backup", "shop_data", "a.tar", "--socket", server.socketPath], io);
}

describe("the progress of a volume's backup", () => {
  test("is drawn again and again on a terminal, with its speed, and then goes", async () => {
    const { code, err } = await backUp(new FakeIo({ isTerminal: true, cwd: directory, clock }));
    expect(code).toBe(0);
    const drawn = [...err.matchAll(/reading shop_data: ([\d.]+ \w+)(, [\d.]+ \w+\/s)?/g)];
    const amounts = new Set(drawn.map(([, amount]) => amount));
    expect(amounts.size).toBeGreaterThan(2);
    expect(drawn.some(([, , rate]) => rate !== undefined)).toBe(true);
    const cleared = err.lastIndexOf("\u001b[0J");
    expect(err.slice(cleared)).not.toContain("reading");
    expect(err).toContain("shop_data is saved in a.tar: 1 entry, ");
  });

  test("is not in what a script reads", async () => {
    const { code, err } = await backUp(new FakeIo({ cwd: directory, clock }));
    expect([code, err]).toEqual([0, expect.not.stringContaining("reading")]);
  });
});
