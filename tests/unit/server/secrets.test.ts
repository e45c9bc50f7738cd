import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../../src/api/client.ts";
import type { Log } from "../../../src/lib/log.ts";
import { parseToken } from "../../../src/model/token-text.ts";
import { newKey } from "../../../src/pki/keys.ts";
import { joinCluster } from "../../../src/agent/join.ts";
import { Server } from "../../../src/server/server.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import { factsOfNode } from "./rig.ts";
import { secretOf } from "./port-rig.ts";

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-secrets-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

test("no answer and no log has a key, and no file the secret of a token or a task", async () => {
  const lines: string[] = [];
  const line = (text: string) => void lines.push(text);
  const log: Log = { info: line, warn: line, error: line };
  const server = await Server.open({
    dataDir: directory,
    runDir: directory,
    runtime: "fake",
    agent: true,
    advertise: "127.0.0.1",
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log,
  });
  await server.startAgent();
  await server.openPort({ host: "127.0.0.1", port: 0, gossipPort: 0 });
  const first = server.takeFirstToken() ?? "";
  const client = ApiClient.onSocket(server.socketPath);
  const made = await client.createToken({ kind: "admin" });
  const rotated = await client.rotateToken(made.token.id);
  const token = parseToken(first);
  if (!token.ok) throw new Error(token.problem);
  const identity = await joinCluster({
    servers: server.addresses(),
    token: token.value,
    key: await newKey(),
    facts: factsOfNode(),
    labels: {},
  });
  await client.revokeToken(made.token.id);
  const content = "plain-55e0c1-content";
  const upload = await client.upload(new TextEncoder().encode(content));
  await client.createItem("secret", { name: "pass", upload, labels: {}, isTemplate: false });
  const answers = await everyAnswer(server.socketPath);
  expect(answers).toContain(identity.nodeId);
  expect(answers).toContain("revoked");
  const inMemory = [...lines, answers].join("\n");
  await server.stop();

  const store = await openSqliteStore(join(directory, "server.db"));
  const { cluster, tokens } = store.view();
  const digests = [...tokens.values()].map(({ secretDigest }) => secretDigest);
  const caKey = bodyOf(cluster?.caKey ?? "");
  await store.close();
  expect(caKey.length).toBeGreaterThan(100);
  const keys = [caKey, bodyOf(identity.key), ...identity.gossipKeys, ...digests];
  const secrets = [...[first, made.text, rotated.text].map(secretOf), content];
  const shown = [...keys, ...secrets].filter((secret) => inMemory.includes(secret));
  expect(shown).toEqual([]);
  const files = fs.readdirSync(directory).map((name) => join(directory, name));
  const stored = files
    .filter((path) => fs.statSync(path).isFile())
    .map((path) => fs.readFileSync(path, "latin1"))
    .join("\n");
  // Only that the looking finds what is there makes it a finding that the rest is not.
  expect(stored).toContain(digests[0] ?? "none");
  expect(secrets.filter((secret) => stored.includes(secret))).toEqual([]);
});

/** What every address answers to `GET`, whatever that is. */
async function everyAnswer(socketPath: string): Promise<string> {
  const ask = async (path: string) => {
    const response = await fetch(`http://orchd${path}`, { unix: socketPath });
    return response.text();
  };
  const description = await ask("/v1/openapi.json");
  const { paths } = JSON.parse(description) as { paths: Record<string, object> };
  const looking = Object.entries(paths).filter(
    ([path, operations]) => "get" in operations && !path.includes("{"),
  );
  const answers = await Promise.all(looking.map(([path]) => ask(path)));
  return [description, ...answers, await ask("/v1/events?since=0")].join("\n");
}

/** The middle of a PEM: neither its label nor its line breaks. */
function bodyOf(pem: string): string {
  return pem.split("\n")[1] + (pem.split("\n")[2] ?? "");
}
