import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { NodeSummary, ServiceSummary } from "../../src/model/summary.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";

const PASSPHRASE = { env: { ORCHD_BACKUP_PASSPHRASE: "correct horse battery" } };

/** Tasks of h2 alone, since the server's machine is the one that is lost. */
function onSecond(name: string, replicas: number): string {
  return aStack(
    name,
    `command: ["httpd", "-f", "-p", "80"]\n` +
      `deploy:\n  replicas: ${replicas}\n  placement:\n    constraints: ["node.hostname == h2"]`,
  );
}

describe("a cluster whose server's machine is lost", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let h2: FleetHost;
  let backup = "";
  beforeAll(async () => {
    fleet = await Fleet.start(2, ["podman", "containerd"]);
    [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await waitForNodes();
    await h1.loadImage();
    await h1.mustUp(onSecond("early", 1));
    backup = join(h1.lab.dir, "cluster.tar");
  });
  afterAll(async () => fleet.stop());

  async function waitForNodes(): Promise<void> {
    await h1.waitFor("both nodes are ready", async () => {
      const { code, stdout } = await h1.orchd("nodes", "--json");
      if (code !== 0) return false;
      const nodes = JSON.parse(stdout) as NodeSummary[];
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
  }

  /** What runs on h2, by its own Podman, with the times of the starts. */
  async function onH2(): Promise<string[]> {
    return [...(await h2.containers("early")), ...(await h2.containers("later"))];
  }

  test("is saved while it runs, for its owner's eyes alone", async () => {
    const saved = await h1.orchdWith(PASSPHRASE, "backup", backup);
    expect(saved.code).toBe(0);
    expect(statSync(backup).mode & 0o777).toBe(0o600);
  });

  test("comes back from the backup, and what its nodes got since goes on untouched", async () => {
    await h1.mustUp(onSecond("later", 2));
    await h1.mustUp(onSecond("early", 3));
    const before = await onH2();
    expect(before).toHaveLength(5);
    await h1.endServer();
    for (const name of readdirSync(h1.dataDir)) {
      rmSync(join(h1.dataDir, name), { recursive: true });
    }
    const restored = await h1.orchdWith(PASSPHRASE, "restore", backup);
    expect([restored.code, existsSync(join(h1.dataDir, "server.db"))]).toEqual([0, true]);
    await h1.startServer();
    await waitForNodes();
    await h1.waitFor("the tasks are known again", async () => {
      const services = await h1.json<ServiceSummary[]>("services");
      return services.reduce((sum, { ready }) => sum + ready, 0) === 5;
    });
    expect(await onH2()).toEqual(before);
    await h1.waitFor("it decides again", async () => {
      const services = await h1.json<ServiceSummary[]>("services");
      return services.length === 2 && services.every(({ converged }) => converged);
    });
    await h1.mustUp(onSecond("later", 2));
    expect(await onH2()).toEqual(before);
    await h1.must("scale", "later/app=1");
    expect(await onH2()).toHaveLength(4);
  });
});
