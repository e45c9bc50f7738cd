import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { VolumeCalls } from "../../../src/model/volume.ts";
import { aNode, anId } from "../../builders.ts";
import { NO_VOLUMES } from "../../volumes.ts";
import { anApi, FakeAgent, until } from "./fixture.ts";

const PLACE = { path: "/var/volumes/data", identity: "boot:1:2" };
const asked: string[] = [];
let directory: string;
let listener: ApiListener;
let client: ApiClient;
let refusal: OrchdError | undefined;

/** An agent of the server's own machine, or of another one. */
function anAgent(node: string, volume: string, over: Partial<VolumeCalls> = {}): FakeAgent {
  const calls: VolumeCalls = {
    ...NO_VOLUMES,
    list: async () => [{ name: volume, driver: "local", labels: {}, createdAt: 5, isOurs: true }],
    async read(name, how) {
      if (refusal !== undefined) throw refusal;
      asked.push(`read ${name} ${how}`);
      return { pieces: new ReadableStream(), close: async () => void asked.push("closed") };
    },
    ...over,
  };
  return Object.assign(new FakeAgent(anId(node)), { volumes: calls });
}

beforeEach(async () => {
  asked.length = 0;
  refusal = undefined;
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-hold-"));
  const world = { nodes: [aNode("n1", { hostname: "h1" }), aNode("n2", { hostname: "h2" })] };
  const agents = [anAgent("n1", "data", { place: async () => PLACE }), anAgent("n2", "far")];
  const { app } = await anApi(world, agents);
  const socketPath = join(directory, "orchd.sock");
  listener = await serveApi(app, { socketPath });
  client = ApiClient.onSocket(socketPath);
});

afterEach(async () => {
  await listener.close();
  fs.rmSync(directory, { recursive: true });
});

const hold = (name: string) => client.volumeFiles.hold({ name, how: "stop" });

async function refused(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof OrchdError)) throw new Error(`no refusal: ${String(error)}`);
  return { code: error.code, message: error.message };
}

describe("files of a volume that are read where they are", () => {
  test("have a place on the server's machine alone", async () => {
    expect(await client.volumeFiles.place("data", undefined)).toEqual(PLACE);
    expect(await client.volumeFiles.place("far", undefined)).toBeNull();
    expect((await refused(client.volumeFiles.place("dara", undefined))).code).toBe("notFound");
  });

  test("have tasks stand still until whoever reads them is done, and hears of it", async () => {
    const held = await hold("data");
    expect(asked).toEqual(["read data stop"]);
    held.end();
    for await (const bytes of held.input) throw new Error(`${bytes.length} bytes came`);
    expect(asked).toContain("closed");
  });

  test("have them go on when whoever reads them leaves", async () => {
    const held = await hold("data");
    held.close();
    await until(() => asked.includes("closed"));
  });

  test("are not held where that is refused", async () => {
    refusal = new OrchdError("conflict", "the volume data is being read already");
    expect(await refused(hold("data"))).toEqual({
      code: "conflict",
      message: "the volume data is being read already",
    });
    expect((await refused(hold("nothing"))).code).toBe("notFound");
    expect(asked).toEqual([]);
  });
});
