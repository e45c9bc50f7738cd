import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentRole } from "../../../src/agent/role.ts";
import { ApiClient } from "../../../src/api/client.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { Server } from "../../../src/server/server.ts";
import { openAgentState } from "../../../src/store/agent-state/agent-state.ts";
import { until } from "../../conformance/runtime-until.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).toReversed()) await one();
});

function aDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "orchd-role-"));
  undo.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

test("a node that is connected gets the keys of gossip as they change", async () => {
  const log = silentLog;
  const [dir, dataDir] = [aDirectory(), join(aDirectory(), "data")];
  const server = await Server.open({
    dataDir: join(dir, "data"),
    runDir: join(dir, "run"),
    runtime: "fake",
    agent: false,
    advertise: "127.0.0.1",
    version: { version: "1.2.3", commit: "abc", api: "v1" },
    log,
  });
  undo.push(() => server.stop());
  await server.openPort({ host: "127.0.0.1", port: 0, gossipPort: 0 });
  const client = ApiClient.onSocket(server.socketPath);
  const role = await AgentRole.start({
    dataDir,
    runDir: join(dataDir, "run"),
    runtime: "fake",
    sockets: {},
    token: (await client.createToken({})).text,
    servers: server.addresses(),
    labels: {},
    name: "n1",
    advertise: "127.0.0.1",
    gossipPort: 0,
    orchdVersion: "1.2.3",
    log,
  });
  let isStopped = false;
  const stop = async () => {
    if (!isStopped) await role.stop();
    isStopped = true;
  };
  undo.push(stop);
  const health = async () => (await client.nodes())[0]?.health;
  await until("the node to be ready", async () => (await health()) === "ready");

  const [old] = await client.keyring(true);
  const { fingerprint } = await client.installKey();
  await client.useKey(fingerprint);
  await client.removeKey(old?.fingerprint ?? "");
  const keys = (await client.keyring(true)).map(({ key }) => key);
  expect(keys).toHaveLength(1);
  // A session keeps its order: a node that answers has the keys that were told before.
  expect(await client.images()).toHaveLength(1);
  await stop();
  const state = openAgentState(join(dataDir, "agent.db"));
  undo.push(() => state.close());
  expect(state.loadIdentity()?.gossipKeys).toEqual(keys as string[]);
});
