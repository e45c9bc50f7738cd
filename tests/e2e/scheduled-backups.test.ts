import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterBackupStatus } from "../../src/model/cluster-backup.ts";
import { aStack, Host } from "../../scripts/lab/host.ts";

const DAY_MS = 86_400_000;
/** The volume's is due at 03:30: on the first day so long after the machine starts. */
const EARLY_MS = 20_000;
/** On others it was off at that time. */
const LATE_MS = 5000;
/** The cluster's is due whenever the last one is so old. */
const CLUSTER_EVERY = "2h";
const CLUSTER_EVERY_MS = 7_200_000;
const VOLUME = "shop_data";
/** Not what orchd made, though its name is near. */
const MINE = `${VOLUME}-20200101T000000Z.tar.mine`;

describe("a machine that makes backups by itself", () => {
  let host: Host;
  const path = (name: string) => join(host.lab.dir, name);
  const inVolumes = () => readdirSync(path("volumes")).sort();
  const inCluster = () => readdirSync(path("cluster")).sort();
  beforeAll(async () => {
    host = await Host.bare();
    await startServer();
    await host.loadImage();
    const service = 'command: ["sleep", "1000000"]\nstop_grace_period: 0s\nvolumes: ["data:/data"]';
    const backup = `{ schedule: "30 3 * * *", keep: 2, to: ${path("volumes")} }`;
    const volumes = `volumes: { data: { x-orchd: { backup: ${backup} } } }`;
    await host.mustUp(`${aStack("shop", service)}${volumes}\n`);
    await host.waitFor("the first of the cluster is made", () => inCluster().length === 1);
  });
  afterAll(async () => host.stop());

  function startServer(): Promise<void> {
    return host.startServer([
      ...["--backup-dir", path("cluster"), "--backup-keep", "2", "--backup-every", CLUSTER_EVERY],
    ]);
  }

  /** The first half past three at which both are due. */
  const today = new Date().setUTCHours(3, 30, 0, 0);
  const first = today > Date.now() + 2 * CLUSTER_EVERY_MS ? today : today + DAY_MS;
  const dueAt = (day: number) => first + (day - 1) * DAY_MS;

  function stampOf(at: number): string {
    return new Date(at).toISOString().slice(0, 13).replaceAll("-", "");
  }

  /** Time passes, to about when a backup is due. */
  async function goToDay(day: number): Promise<void> {
    await host.endServer("SIGTERM");
    const startAt = dueAt(day) + (day === 1 ? -EARLY_MS : LATE_MS);
    const seconds = Math.floor((startAt - Date.now()) / 1000);
    host.skewClock(`+${seconds}`);
    await startServer();
  }

  const inTask = (command: string) => host.must("exec", "shop/app.1", "--", "sh", "-c", command);

  test("keeps the latest of a volume and of the cluster, and what others put there", async () => {
    mkdirSync(path("volumes"));
    for (const directory of ["volumes", "cluster"]) writeFileSync(join(path(directory), MINE), "");
    const [before] = await host.containers("shop");
    for (const day of [1, 2, 3]) {
      await inTask(`echo ${day} > /data/day`);
      await goToDay(day);
      const stamp = stampOf(dueAt(day));
      await host.waitFor(`the backups of day ${day} are made`, () =>
        [inVolumes(), inCluster()].every((names) =>
          names.some((name) => name.includes(stamp) && name.endsWith(".tar")),
        ),
      );
    }
    const stampsIn = (names: string[]) => names.map((name) => /\d{8}T\d\d/.exec(name)?.[0]);
    const kept = [2, 3].map((day) => stampOf(dueAt(day)));
    expect(inVolumes()[0]).toBe(MINE);
    expect(stampsIn(inVolumes().slice(1))).toEqual(kept);
    expect(inCluster()[2]).toBe(MINE);
    expect(stampsIn(inCluster().slice(0, 2))).toEqual(kept);
    expect([inVolumes(), inCluster()].map((names) => names.length)).toEqual([3, 3]);
    expect(await host.containers("shop")).toEqual([before ?? ""]);
    const made = [join("volumes", inVolumes()[1] ?? ""), join("cluster", inCluster()[0] ?? "")];
    expect(made.map((name) => statSync(path(name)).mode & 0o777)).toEqual([0o600, 0o600]);
  });

  test("gives back what a kept one of a volume holds", async () => {
    const [, older = ""] = inVolumes();
    await host.must("volume", "restore", VOLUME, join(path("volumes"), older), "--stop");
    await host.waitFor("the task is ready again", async () => {
      return (await host.running("shop")).every(({ ready }) => ready);
    });
    expect(await inTask("cat /data/day")).toBe("2\n");
  });

  test("gives back the cluster of a kept one, and tells of them", async () => {
    const { schedule, last } = await host.json<ClusterBackupStatus>("backup", "--status");
    const [, newer = ""] = inCluster();
    expect(schedule).toMatchObject({ directory: path("cluster"), keep: 2, sealed: false });
    expect(last?.path).toBe(join(path("cluster"), newer));
    const restored = await host.must(
      ...["restore", join(path("cluster"), newer), "--data-dir", path("elsewhere"), "--json"],
    );
    expect(JSON.parse(restored)).toMatchObject({ nodes: 1, services: 1 });
  });
});
