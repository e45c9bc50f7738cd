import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { writeHelloImage } from "../../scripts/image.ts";
import type { NodeSummary } from "../../src/model/summary.ts";

const AGENTS = 4;
const IMAGE = "localhost/orchd-hello:1";

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
    await server.waitFor("all nodes are ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === AGENTS + 1;
    });
  });
  afterAll(async () => fleet.stop());

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
