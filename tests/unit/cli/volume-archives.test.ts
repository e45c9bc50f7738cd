import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTree } from "../../../src/tree/read-tree.ts";
import { placeOf } from "../../../src/tree/place.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, problem, type Routes } from "./fake-server.ts";

let dir: string;
let volume: string;
let file: string;
let server: FakeServer | undefined;
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-archives-"));
  volume = join(dir, "volume");
  file = join(dir, "data.tar");
  fs.mkdirSync(volume);
  fs.writeFileSync(join(volume, "large"), Buffer.alloc(1_500_000, "large"));
  fs.writeFileSync(join(volume, "small"), "small");
});
afterEach(async () => {
  await server?.stop();
  fs.rmSync(dir, { recursive: true });
});

async function archive(): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of readTree(volume)) parts.push(piece.slice());
  return Buffer.concat(parts);
}

/** Says that tasks stand still, and when they go on again once it was told that all is read. */
const holding: Bun.WebSocketHandler<undefined> = {
  open: (ws) => void ws.send(JSON.stringify({ type: "started" })),
  message(ws) {
    ws.send(JSON.stringify({ type: "eof" }));
    ws.close(1000);
  },
};

function backUp(routes: Routes, websocket = holding, to = file) {
  server = new FakeServer(routes, websocket);
  const io = new FakeIo({ env: { ORCHD_SOCKET: server.socketPath } });
  return run(["volume", "backup", "shop_data", to], io);
}

const paths = () => server?.requests.map(({ path }) => path);
const isHere = { "GET /v1/volumes/shop_data/place": () => placeOf(volume) };

describe("orchd volume backup", () => {
  test("reads files of its own machine there, while their tasks stand still", async () => {
    const { code, err } = await backUp(isHere);
    expect([code, err]).toEqual([0, expect.stringContaining("3 entries")]);
    expect(fs.readFileSync(file).equals(await archive())).toBeTrue();
    expect(paths()).toEqual([
      "/v1/volumes/shop_data/place",
      "/v1/volumes/shop_data/hold?how=freeze",
    ]);
  });

  test("hands the same on to standard output", async () => {
    const { out } = await backUp(isHere, holding, "-");
    expect(out).toBe((await archive()).toString());
  });

  test("has the files sent that are on another machine, or that another has there", async () => {
    const sent = await archive();
    const { path, identity } = placeOf(dir);
    for (const place of [null, { path: volume, identity }, { path: join(path, "no"), identity }]) {
      const { code } = await backUp({
        "GET /v1/volumes/shop_data/place": () => place,
        "GET /v1/volumes/shop_data/archive": () => new Response(sent),
      });
      expect([code, paths()?.at(-1)]).toEqual([0, "/v1/volumes/shop_data/archive?how=freeze"]);
      expect(fs.readFileSync(file).equals(sent)).toBeTrue();
      fs.rmSync(file);
      await server?.stop();
      server = undefined;
    }
  });

  test("saves nothing when tasks may have gone on before all of it was read", async () => {
    const { code, err } = await backUp(isHere, {
      open: (ws) => void ws.send(JSON.stringify({ type: "started" })),
      message: (ws) => ws.close(1000),
    });
    expect([code, err]).toEqual([3, expect.stringContaining("broke")]);
    expect(fs.readdirSync(dir).sort()).toEqual(["volume"]);
  });

  test("tells why tasks can't be made to stand still", async () => {
    const message = "the volume shop_data is being read or written already: try again later";
    const { code, err } = await backUp(isHere, {
      open(ws) {
        ws.send(JSON.stringify({ type: "error", code: "conflict", message }));
        ws.close(1000);
      },
      message: () => {},
    });
    expect([code, err]).toEqual([1, expect.stringContaining(message)]);
  });

  test("tells that there is no such volume", async () => {
    const { code, err } = await backUp({
      "GET /v1/volumes/shop_data/place": () => problem("notFound", "no node has it"),
    });
    expect([code, err]).toEqual([1, expect.stringContaining("no node has it")]);
  });
});
