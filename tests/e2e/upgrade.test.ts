import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTarget, hostTarget } from "../../scripts/build.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";
import { pidInside } from "../../scripts/lab/lab.ts";
import { orchd } from "../../scripts/project.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import type { UpgradeStatus } from "../../src/model/upgrade.ts";

const UPGRADE_MS = 110_000;
const BROKEN = { entry: "tests/e2e/broken-orchd.ts" };
const URL = "http://127.0.0.1:8080/";
const STACK = aStack("shop", 'ports: ["8080:8080"]\ndeploy: {mode: global}');

describe("orchd that is upgraded under a stack", () => {
  let fleet: Fleet;
  let [server, agent] = [] as unknown as [FleetHost, FleetHost];
  let agentProcess: ChildProcess;
  const folder = mkdtempSync(join(tmpdir(), "orchd-builds-"));
  const build = (version: string) => join(folder, `orchd-${version}`);

  beforeAll(async () => {
    for (const version of ["8.0.0", "8.1.0"]) {
      await buildTarget(hostTarget(), build(version), { version });
    }
    for (const version of ["9.0.0-exits", "9.0.0-hangs", "9.0.0-migrates"]) {
      await buildTarget(hostTarget(), build(version), { version, ...BROKEN });
    }
    fleet = await Fleet.start(2);
    [server, agent] = [fleet.host("h1"), fleet.host("h2")];
    await server.startServer();
    agentProcess = agent.spawnAgent([`${await server.token()}@${server.address}`]);
    await bothReady();
    await server.loadImage();
    await server.mustUp(STACK);
  }, 120_000);
  afterAll(async () => {
    await fleet.stop();
    rmSync(folder, { recursive: true });
  });

  async function bothReady(): Promise<void> {
    await server.waitFor("both nodes are ready", async () => {
      const { code, stdout } = await server.orchd("nodes", "--json");
      if (code !== 0) return false;
      const nodes = JSON.parse(stdout) as NodeSummary[];
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
  }

  async function versions(): Promise<Record<string, string>> {
    const nodes = await server.json<NodeSummary[]>("nodes");
    return Object.fromEntries(nodes.map((node) => [node.hostname, node.orchdVersion]));
  }

  /** Ids, process ids and start times of all containers: another one of any is another text. */
  async function containers(): Promise<string[][]> {
    return Promise.all(fleet.hosts.map((host) => host.containers("shop")));
  }

  /** It takes as long as the machine needs to copy and start some executables. */
  const upgrade = (...words: string[]) =>
    server.orchdWith({ timeoutMs: UPGRADE_MS }, "upgrade", ...words);

  const processes = () => [server.serverPid, pidInside(agentProcess)];
  const slots = () => processes().map((pid) => readlinkSync(`/proc/${pid}/exe`).slice(-5));

  /** Asks for the page on both machines for as long as something runs; answers what failed. */
  async function visitDuring(work: Promise<unknown>): Promise<{ visits: number; failed: number }> {
    let [visits, failed] = [0, 0];
    const over = new AbortController();
    const done = work.finally(() => over.abort());
    while (!over.signal.aborted) {
      for (const host of fleet.hosts) {
        visits += 1;
        if ((await host.get(URL)) === undefined) failed += 1;
      }
    }
    await done;
    return { visits, failed };
  }

  test("is another version on both, and no container and no visitor notices", async () => {
    const before = { containers: await containers(), processes: processes() };
    let output = { code: null as number | null, stdout: "", stderr: "" };
    const work = upgrade(build("8.0.0")).then((done) => (output = done));
    const { visits, failed } = await visitDuring(work);
    expect(output).toMatchObject({ code: 0, stdout: "orchd 8.0.0 runs on 2 nodes\n" });
    expect(output.stderr.indexOf("h2: runs")).toBeLessThan(output.stderr.indexOf("h1: runs"));
    expect(failed).toBe(0);
    expect(visits).toBeGreaterThan(20);
    expect(await versions()).toEqual({ h1: "8.0.0", h2: "8.0.0" });
    expect(await containers()).toEqual(before.containers);
    expect(processes()).toEqual(before.processes);
    expect(slots()).toEqual(["bin/a", "bin/a"]);
  });

  test.each(["exits", "hangs"])("is the former one by itself where the new one %s", async (how) => {
    const before = { containers: await containers(), processes: processes() };
    const within = ["--within", "8s", "--force"];
    const { code, stderr } = await upgrade(build(`9.0.0-${how}`), ...within);
    expect(code).toBe(1);
    const why =
      how === "exits" ? "it ended with exit code 3" : "not back in the cluster within 8 s";
    expect(stderr).toContain(why);
    expect(stderr).toContain("No further node is told: 0 of 2 nodes run it.");
    await bothReady();
    expect(await versions()).toEqual({ h1: "8.0.0", h2: "8.0.0" });
    expect(await containers()).toEqual(before.containers);
    expect(processes()).toEqual(before.processes);
    const status = await server.json<UpgradeStatus>("upgrade", "status");
    expect(status.nodes.map(({ node, state }) => `${node} ${state}`)).toEqual([
      "h1 waiting",
      "h2 failed",
    ]);
  });

  test("has its state back where the new one of the server has spoilt it", async () => {
    const before = await containers();
    const words = ["--nodes", "h1", "--within", "20s"];
    const { code, stderr } = await upgrade(build("9.0.0-migrates"), ...words);
    expect({ code, stderr }).toMatchObject({ code: 1 });
    expect(stderr).toContain("h1: does not run 9.0.0-migrates: it ended with exit code 3");
    await bothReady();
    expect(await versions()).toEqual({ h1: "8.0.0", h2: "8.0.0" });
    expect((await server.service("shop/app")).converged).toBe(true);
    expect(await containers()).toEqual(before);
  });

  test("refuses what is older, altered, for other machines, or no orchd at all", async () => {
    const whole = readFileSync(build("8.1.0"));
    const arm = Buffer.from(whole);
    // System V ABI, chapter 4: e_machine.
    arm.writeUInt16LE(183, 18);
    const refused: [string, Uint8Array, string][] = [
      ["older", readFileSync(orchd), "run a newer orchd (8.0.0)"],
      ["arm", arm, "it says that it is for linux/amd64, and is for linux/arm64"],
      ["cut", whole.subarray(0, -1000), "it is cut off"],
      ["other", readFileSync("/bin/ls"), "it is no executable of orchd"],
    ];
    for (const [name, bytes, problem] of refused) {
      const path = join(server.lab.dir, name);
      writeFileSync(path, bytes);
      const { code, stderr } = await upgrade(path);
      expect({ name, code, stderr }).toMatchObject({ name, code: 1 });
      expect(stderr).toContain(problem);
    }
    expect(await versions()).toEqual({ h1: "8.0.0", h2: "8.0.0" });
  });

  test("is given up on a machine where what was whole before does not even start", async () => {
    // Its mark is whole, and the program that it carries is not.
    const spoilt = readFileSync(build("8.1.0"));
    spoilt.fill(0, Math.floor(spoilt.length * 0.3), Math.floor(spoilt.length * 0.6));
    const path = join(server.lab.dir, "spoilt");
    writeFileSync(path, spoilt);
    const before = processes();
    const { code, stderr } = await upgrade(path);
    expect(code).toBe(1);
    expect(stderr).toContain("h2: does not run 8.1.0: the new executable does not");
    expect(processes()).toEqual(before);
  });

  test("catches up when a node is back that was away", async () => {
    await agent.endServer("SIGTERM");
    await server.waitFor("h2 is gone", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.some(({ hostname, health }) => hostname === "h2" && health !== "ready");
    });
    const bundle = join(server.lab.dir, "site.tar");
    await server.must("bundle", "create", bundle, "--orchd", build("8.1.0"));
    const altered = readFileSync(bundle);
    altered.writeUInt8(altered.readUInt8(50_000_000) ^ 1, 50_000_000);
    writeFileSync(join(server.lab.dir, "altered.tar"), altered);
    const refused = await upgrade("--bundle", join(server.lab.dir, "altered.tar"));
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nothing is changed"),
    });
    const { code, stdout, stderr } = await upgrade("--bundle", bundle);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toContain("orchd 8.1.0 runs on 1 of 2 nodes; the others get it");
    agentProcess = agent.spawnAgent();
    await server.waitFor("h2 has it too", async () => (await versions())["h2"] === "8.1.0");
    await server.waitFor("the upgrade is done", async () => {
      return (await server.json<UpgradeStatus>("upgrade", "status")).state === "done";
    });
    expect(slots()).toEqual(["bin/b", "bin/b"]);
  });

  test("comes back after a power cut while a new one is tried", async () => {
    const words = ["--within", "10s", "--detach", "--nodes", "h2"];
    await server.must("upgrade", build("9.0.0-hangs"), ...words);
    const state = join(agent.dataDir, "bin/slots.json");
    await server.waitFor("h2 tries it", () => /"attempts": 1/.test(readFileSync(state, "utf8")));
    await agent.cutPower();
    await agent.boot();
    agentProcess = agent.spawnAgent();
    await server.waitFor("h2 has given it up", async () => {
      return (await server.json<UpgradeStatus>("upgrade", "status")).state === "failed";
    });
    await bothReady();
    expect(await versions()).toEqual({ h1: "8.1.0", h2: "8.1.0" });
    await server.waitConverged("shop/app");
  });
});
