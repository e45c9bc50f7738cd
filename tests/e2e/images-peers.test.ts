import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { writeHelloImage } from "../../scripts/image.ts";
import { writeTar } from "../../scripts/tar.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import { dockerArchive, file, imageOf } from "../unit/images/rig.ts";

const AGENTS = 4;
const IMAGE = "localhost/orchd-hello:1";
const LARGE = "localhost/large:1";
const MEBIBYTE = 1024 * 1024;

describe("an image in a site of several nodes", () => {
  let fleet: Fleet;
  let server: FleetHost;
  let agents: FleetHost[];
  beforeAll(async () => {
    fleet = await Fleet.start(AGENTS + 1);
    server = fleet.host("h1");
    agents = fleet.hosts.filter((host) => host !== server);
    await server.startServer();
    const token = await server.token();
    for (const host of agents) host.spawnAgent([`${token}@${server.address}`]);
    await ready();
  });
  afterAll(async () => fleet.stop());

  function ready(): Promise<void> {
    return server.waitFor("all nodes are ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === AGENTS + 1;
    });
  }

  /** What the server has sent to the other machines, in bytes. */
  async function sentByServer(): Promise<number> {
    const sent = agents.map((host) => fleet.switch.bytesSent(server.port, host.port));
    return (await Promise.all(sent)).reduce((sum, bytes) => sum + bytes, 0);
  }

  async function imagesOf(host: FleetHost): Promise<string> {
    return host.podman("images", "--format", "{{.Repository}}:{{.Tag}}");
  }

  test("leaves the server once, however many nodes get it", async () => {
    const archive = join(server.lab.dir, "hello.tar");
    writeHelloImage(archive);
    const before = await sentByServer();
    const loaded = await server.must("image", "load", archive);
    expect(loaded.trim().split("\n")).toHaveLength(AGENTS + 1);
    const [image] = await server.json<{ sizeBytes: number }[]>("image", "ls");
    const times = ((await sentByServer()) - before) / (image?.sizeBytes ?? 0);
    expect(times).toBeGreaterThan(0.9);
    expect(times).toBeLessThan(1.2);
    for (const host of agents) expect(await imagesOf(host)).toBe(IMAGE);
  });

  test("goes on where it broke, when an agent is killed in the middle of it", async () => {
    const [lone] = agents;
    if (lone === undefined) throw new Error("the fleet has agents");
    for (const other of agents.slice(1)) await other.cutLink();
    const layer = writeTar([file("noise", randomBytes(6 * MEBIBYTE))]);
    const archive = server.write("large.tar", dockerArchive([LARGE], imageOf(layer)));
    await fleet.switch.limit(lone.port, 16_000);
    const before = await fleet.switch.bytesSent(server.port, lone.port);
    const loading = server.orchd("image", "load", archive);
    const sent = async () => (await fleet.switch.bytesSent(server.port, lone.port)) - before;
    await server.waitFor("most of it was sent", async () => (await sent()) > 0.6 * layer.length);
    await lone.endServer();
    await fleet.switch.mend();
    lone.spawnAgent();
    for (const other of agents.slice(1)) await other.mendLink();
    await loading;
    await ready();
    await server.must("image", "load", archive);
    expect(await imagesOf(lone)).toContain(LARGE);
    expect(await sent()).toBeLessThan(1.45 * layer.length);
  });

  test("comes to a node whose link is closed for it when a task there needs it", async () => {
    const [far, near] = agents;
    if (far === undefined || near === undefined) throw new Error("the fleet has agents");
    const early = new Date(Date.now() + 2 * 3_600_000).toISOString().slice(11, 13);
    const window = `${early}:00-${early}:01`;
    await server.must("node", "link", far.name, "--limit", "20MiB/s", "--window", window);
    await server.waitFor("the node heard of its link", async () => {
      const { stderr } = await server.orchd("image", "pull", IMAGE);
      return stderr.includes(`its link is open for images ahead of need Daily ${window} UTC`);
    });
    const name = "localhost/ahead:1";
    const archive = join(server.lab.dir, "ahead.tar");
    writeHelloImage(archive, name, { Env: ["GREETING=Ahead"] });
    await server.must("image", "load", archive);
    expect(await imagesOf(near)).toContain(name);
    expect(await imagesOf(far)).not.toContain(name);
    await server.mustUp(
      `name: ahead\nservices:\n  app:\n    image: ${name}\n    pull_policy: never\n` +
        `    deploy: {mode: global}\n    stop_grace_period: 1s\n`,
    );
    expect(await imagesOf(far)).toContain(name);
    await server.must("down", "ahead");
    await server.must("node", "link", far.name, "--limit", "none", "--window", "any");
  });

  test("is had from other nodes while no server is there", async () => {
    const compose = (replicas: number) =>
      `name: shop\nservices:\n  app:\n    image: ${IMAGE}\n    pull_policy: never\n` +
      `    deploy: {mode: global}\n    stop_grace_period: 1s\n    labels: {n: "${replicas}"}\n`;
    await server.mustUp(compose(1));
    const [lone] = agents;
    if (lone === undefined) throw new Error("the fleet has agents");
    await server.endServer();
    // The node loses its image, and then its container: it makes a successor by itself.
    await lone.lab.run(["sh", "-c", `rm -rf ${lone.dataDir}/images/index.json`]);
    await lone.lab.run(["sh", "-c", `rm -rf ${lone.dataDir}/images/blobs/sha256/*`]);
    await lone.endServer();
    await lone.podman("rm", "--all", "--force", "--time", "0");
    await lone.podman("rmi", "--all", "--force");
    lone.spawnAgent();
    await lone.waitFor("the task runs again", async () => {
      return (await lone.containers("shop")).length === 1;
    });
    expect(await imagesOf(lone)).toBe(IMAGE);
  });
});
