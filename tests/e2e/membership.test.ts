import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Explanation, NodeSummary } from "../../src/model/summary.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";

/** Runs `orchd join` to its end; answers what it printed. */
async function failToJoin(host: FleetHost, ...words: string[]): Promise<string> {
  const { code, stderr } = await host.orchdWith({ timeoutMs: 30_000 }, "join", ...words);
  expect(code).not.toBe(0);
  return stderr.trim().split("\n").at(-1) ?? "";
}

async function nodes(server: FleetHost): Promise<NodeSummary[]> {
  return server.json<NodeSummary[]>("nodes");
}

async function isReady(server: FleetHost, name: string): Promise<boolean> {
  return (await nodes(server)).some((n) => n.hostname === name && n.health === "ready");
}

describe("nodes that come and go", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let h2: FleetHost;
  let h3: FleetHost;
  beforeAll(async () => {
    fleet = await Fleet.start(3);
    [h1, h2, h3] = [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("h2 is ready", () => isReady(h1, "h2"));
  });
  afterAll(async () => fleet.stop());

  test("each wrong token gets one sentence, and no node comes of it", async () => {
    const token = await h1.token();
    const at = `@${h1.address}`;
    expect(await failToJoin(h3, `${token.slice(0, -5)}${at}`)).toInclude("the token is cut off");
    expect(await failToJoin(h3, `${token.slice(0, -6)}zzzzzz${at}`)).toInclude("token");
    expect(await failToJoin(h3, `hello${at}`)).toInclude("this is no token of orchd");
    const gone = await h1.token("--expires", "1s");
    await h1.waitFor("the token has expired", async () =>
      (await h1.must("token", "ls")).includes("expired"),
    );
    expect(await failToJoin(h3, `${gone}${at}`)).toInclude("expired");
    const listed = await h1.json<{ id: string; state: string }[]>("token", "ls");
    for (const { id } of listed) await h1.must("token", "revoke", id);
    expect(await failToJoin(h3, `${token}${at}`)).toInclude("revoked");
    expect(await failToJoin(h3)).toInclude("this machine is not a node yet");
    expect(await nodes(h1)).toHaveLength(2);
  });

  test("a token can be used as often as it says", async () => {
    const token = await h1.token("--uses", "1");
    h3.spawnAgent([`${token}@${h1.address}`, "--label", "zone=yard"]);
    await h1.waitFor("h3 is ready", () => isReady(h1, "h3"));
    await h1.loadImage();
    await h3.endServer("SIGTERM");
    const another = ["--data-dir", "/run/another", "--name", "h4", "--runtime", "fake"];
    expect(await failToJoin(h3, `${token}@${h1.address}`, ...another)).toInclude("used");
    h3.spawnAgent();
    await h1.waitFor("h3 is ready", () => isReady(h1, "h3"));
  });

  test("a name that is taken is refused, with what to do", async () => {
    const words = ["--data-dir", "/run/another", "--name", "h2", "--runtime", "fake"];
    const said = await failToJoin(h3, `${await h1.token()}@${h1.address}`, ...words);
    expect(said).toInclude("another machine has joined as h2: join with --name");
  });

  test("a port that is blocked or closed is named, with how that was found out", async () => {
    const token = await h1.token();
    const words = ["--data-dir", "/run/another", "--name", "h4", "--runtime", "fake"];
    const closed = await failToJoin(h3, `${token}@${h1.address}:6771`, ...words);
    expect(closed).toInclude(`${h1.address}:6771 can't be reached`);
    expect(closed).toInclude("nothing listens on this port");
    await h2.block("tcp", 6770);
    const dropped = await failToJoin(h3, `${token}@${h2.address}`, ...words);
    expect(dropped).toInclude(`${h2.address}:6770 can't be reached: no answer`);
    expect(dropped).toInclude("firewall");
  });

  test("gossip that is blocked is told, and the node works by its session alone", async () => {
    await h3.block("udp", 7946);
    await h3.block("tcp", 7946);
    await h3.endServer("SIGKILL");
    h3.spawnAgent();
    await h1.waitFor("h3 is ready", () => isReady(h1, "h3"));
    const compose = aStack(
      "yard",
      'deploy: {placement: {constraints: ["node.labels.zone==yard"]}}',
    );
    await h1.mustUp(compose);
    expect((await h1.running("yard")).map((task) => task.node)).toEqual(["h3"]);
    await h1.waitFor("gossip to h3 is doubted", async () => {
      const { facts, summary } = await h1.json<Explanation>("explain", "h3");
      const text = [summary, ...facts.map(({ value }) => value)].join(" ");
      return text.includes("7946") || text.includes("gossip");
    });
    expect(await isReady(h1, "h3")).toBe(true);
  });

  test("a real serf joins, and lists every node as alive", async () => {
    const key = (await h1.must("keyring", "show")).trim();
    const config = h2.write("serf.json", JSON.stringify({ encrypt_key: key }));
    const bind = `-bind=${h2.address}:7947`;
    const words = ["agent", "-node=watcher", bind, `-config-file=${config}`];
    h2.lab.spawn(["serf", ...words, `-join=${h1.address}:7946`]);
    let listed = "";
    await h2.waitFor("serf lists the nodes", async () => {
      listed = (await h2.lab.run(["serf", "members"])).stdout;
      return listed.split("alive").length >= 3;
    });
    for (const { id, hostname } of (await nodes(h1)).filter((n) => n.hostname !== "h3")) {
      expect(listed).toMatch(new RegExp(`${id} .*alive.*name=${hostname}`));
    }
  });

  test("a drained node is emptied, and takes tasks again when it is active", async () => {
    await h1.mustUp(aStack("spread", "deploy: {replicas: 4}"));
    await h1.must("node", "drain", "h2");
    await h1.waitFor("h2 is empty", async () => (await h2.containers("spread")).length === 0);
    await h1.waitFor("all run elsewhere", async () => {
      const running = await h1.running("spread");
      return running.length === 4 && running.every((task) => task.node !== "h2");
    });
    await h1.must("node", "activate", "h2");
    await h1.must("scale", "spread/app=8");
    expect((await h2.containers("spread")).length).toBeGreaterThan(0);
  });

  test("a removed node lets its tasks go, and its certificate opens nothing", async () => {
    const held = (await h2.containers("spread")).length;
    expect(held).toBeGreaterThan(0);
    const refused = await h1.orchd("node", "rm", "h2");
    expect(refused.stderr).toInclude("drain it first, or remove it with --force");
    await h1.must("node", "rm", "--force", "h2");
    await h2.waitFor("its containers are gone", async () => {
      return (await h2.containers("spread")).length === 0;
    });
    await h1.waitFor("its tasks run elsewhere", async () => {
      return (await h1.running("spread")).length === 8;
    });
    await h2.waitFor("it was told", () => h2.log.includes("this node was removed"));
    await h2.endServer("SIGKILL");
    const begin = h2.log.length;
    h2.spawnAgent();
    await h2.waitFor("it is told again", () => h2.log.includes("was removed", begin));
    expect((await nodes(h1)).map((node) => node.hostname)).toEqual(["h1", "h3"]);
  });

  test("joins again with a new token", async () => {
    await h2.endServer("SIGKILL");
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("h2 is ready", () => isReady(h1, "h2"));
  });

  test("a copy of a machine is refused while the first one is there", async () => {
    await h3.endServer("SIGKILL");
    const folder = join(h3.lab.dir, "copy");
    mkdirSync(folder, { mode: 0o700 });
    for (const name of ["agent.db", "agent.db-wal"]) {
      cpSync(join(h2.dataDir, name), join(folder, name));
    }
    const begin = h3.log.length;
    h3.spawnAgent(["--data-dir", folder, "--runtime", "fake"]);
    await h3.waitFor("it is refused", () =>
      h3.log.includes("another machine with the same key", begin),
    );
    expect(await isReady(h1, "h2")).toBe(true);
  });
});
