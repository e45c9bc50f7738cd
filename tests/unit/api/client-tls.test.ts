import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import { provenCa } from "../../../src/api/client-ca.ts";
import { parseToken } from "../../../src/model/token-text.ts";
import { aSpec } from "../../builders.ts";
import { Server } from "../../../src/server/server.ts";
import { dockerArchive } from "../images/rig.ts";

let dir: string;
let server: Server;
let local: ApiClient;
let client: ApiClient;

async function clientOf(server: Server): Promise<ApiClient> {
  const address = server.addresses()[0] ?? "";
  const { text } = await local.createToken({ kind: "admin" });
  const token = parseToken(text);
  if (!token.ok) throw new Error(token.problem);
  const ca = await provenCa(address, token.value);
  return ApiClient.onServer({ address, ca, token: text });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "orchd-tls-"));
  server = await Server.open({
    dataDir: join(dir, "data"),
    runDir: join(dir, "run"),
    runtime: "fake",
    agent: true,
    advertise: "127.0.0.1",
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  await server.startAgent();
  await server.openPort({ host: "127.0.0.1", port: 0, gossipPort: 0 });
  local = ApiClient.onSocket(server.socketPath);
  client = await clientOf(server);
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});

describe("the client on another machine", () => {
  test("loads an image, which travels as it is", async () => {
    const bytes = dockerArchive(["localhost/web:1"]);
    for (const archive of [new Blob([bytes]), new Blob([bytes]).stream()]) {
      const loaded = await client.loadImage(archive);
      expect(loaded.references).toEqual(["localhost/web:1"]);
      expect(loaded.nodes.map(({ references }) => references)).toEqual([["localhost/web:1"]]);
    }
  });

  test("follows a stack until it runs, and runs a command in its task", async () => {
    await client.apply("shop", { services: { web: aSpec() }, volumes: [] });
    const abort = new AbortController();
    const events = client.events({ follow: true }, abort.signal);
    expect((await events.next()).done).toBe(false);
    for await (const { converged } of client.progress("shop", abort.signal)) if (converged) break;
    const options = { command: ["echo", "hello"], tty: false, stdin: false, environment: {} };
    const session = await client.exec("shop/web.1", options);
    let text = "";
    for await (const { data } of session.output) text += new TextDecoder().decode(data);
    expect({ text, code: await session.exitCode }).toEqual({ text: "echo hello\n", code: 0 });
    abort.abort();
    for (let each = await events.next(); each.done !== true;) each = await events.next();
  });

  test("says of a WebSocket what the server says", async () => {
    const forward = await client.forward("nothing", 80).catch((error: unknown) => error);
    expect(forward).toMatchObject({ code: "notFound" });
  });

  test("says that nothing listens there", async () => {
    const hasty = await ApiClient.onServer({ address: "127.0.0.1:1", ca: "", token: "" }, 1000);
    expect(await hasty.version().catch((error: unknown) => error)).toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("nothing listens"),
    });
  });
});
