import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import type { VolumeSummary } from "../../src/model/volume.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";
import { root } from "../../scripts/project.ts";

const STACK = `${aStack(
  "shop",
  `command: ["httpd", "-f", "-p", "80"]
stop_grace_period: 1s
volumes: ["data:/data"]`,
)}volumes:
  data:
    labels: { tier: gold }
`;
const VOLUME = "shop_data";

describe("volumes of two machines, with Podman and with containerd", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let archive = "";
  beforeAll(async () => {
    fleet = await Fleet.start(2, ["podman", "containerd"]);
    h1 = fleet.host("h1");
    const h2 = fleet.host("h2");
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`, "--allow-bind", "/srv/shared"]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.must("node", "pause", "h2");
    await h1.mustUp(STACK);
    await h1.must("node", "activate", "h2");
    await inTask(
      "cd /data && mkdir -p d/e && head -c 20000000 /dev/urandom > d/big && echo hi > d/e/small" +
        " && ln d/big hard && ln -s ../d/e/small link && chown 70:71 d/e && chmod 640 d/big",
    );
    archive = join(h1.lab.dir, "data.tar");
  });
  afterAll(async () => fleet.stop());

  async function inTask(command: string): Promise<string> {
    return h1.must("exec", "shop/app.1", "--", "sh", "-c", command);
  }

  /** Everything that the task sees in its volume, with the digests of files. */
  function content(): Promise<string> {
    return inTask(
      "cd /data && find . | sort | xargs ls -ldn && find . -type f | sort | xargs sha256sum",
    );
  }

  async function task(): Promise<TaskSummary> {
    const [only, ...others] = await h1.running("shop");
    if (only === undefined || others.length > 0) throw new Error("not one task runs");
    return only;
  }

  const volumesOn = (name: string): Promise<string[]> => fleet.host(name).runtime.volumes();

  test("are listed with their node, size and users", async () => {
    const [volume, ...others] = await h1.json<VolumeSummary[]>("volume", "ls");
    expect(others).toEqual([]);
    expect(volume).toMatchObject({
      name: VOLUME,
      node: "h1",
      stack: "shop",
      driver: "local",
      isOurs: true,
      usedBy: ["shop/app.1"],
      files: 3,
    });
    expect(volume?.sizeBytes).toBeGreaterThanOrEqual(20_000_000);
    expect(volume?.labels).toMatchObject({ tier: "gold" });
    expect(await h1.must("volume", "inspect", VOLUME)).toContain("used by:  shop/app.1");
  });

  test("are not removed while a task uses them", async () => {
    const refused = await h1.orchd("volume", "rm", VOLUME);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("in use")]);
    expect(await volumesOn("h1")).toEqual([VOLUME]);
  });

  for (const how of ["--freeze", "--stop", "--live"]) {
    test(`come back as they were, saved with ${how}`, async () => {
      const [before, was] = [await content(), await task()];
      await h1.must("volume", "backup", VOLUME, archive, how);
      expect(await content()).toBe(before);
      await inTask("rm -r /data/d /data/hard && echo other > /data/other");
      const refused = await h1.orchd("volume", "restore", VOLUME, archive);
      expect(refused.stderr).toContain("is in use by shop/app.1: add --stop");
      await h1.must("volume", "restore", VOLUME, archive, "--stop");
      await h1.waitFor("the task is ready again", async () => (await task()).ready);
      expect(await content()).toBe(before);
      expect((await task()).id).toBe(was.id);
    });
  }

  test("come whole to a reader that stops at times", async () => {
    await h1.must("volume", "backup", VOLUME, archive);
    const slowly = "{ sleep 1; dd bs=1M count=5 iflag=fullblock status=none; sleep 1; cat; }";
    const save = `dist/orchd volume backup ${VOLUME} - | ${slowly} | sha256sum - ${archive}`;
    const read = await h1.lab.run(["bash", "-o", "pipefail", "-c", save], { workingDir: root });
    const [first, second] = read.stdout.split("\n").map((line) => line.split(" ")[0]);
    expect([read.code, first]).toEqual([0, second]);
  });

  test("keep what they have when the archive is cut off, or altered", async () => {
    const before = await content();
    const whole = readFileSync(archive);
    const altered = h1.write("altered.tar", whole);
    truncateSync(altered, whole.length - 5000);
    const cut = await h1.orchd("volume", "restore", VOLUME, altered, "--stop");
    expect([cut.code, cut.stderr]).toEqual([1, expect.stringContaining("cut off")]);
    whole.writeUInt8(whole.readUInt8(5_000_000) ^ 1, 5_000_000);
    h1.write("altered.tar", whole);
    const wrong = await h1.orchd("volume", "restore", VOLUME, altered, "--stop");
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("checksum")]);
    expect(await content()).toBe(before);
    expect((await task()).state).toBe("running");
  });

  test("move to another machine with the task that uses them", async () => {
    const before = await content();
    const moved = await h1.orchd("volume", "move", VOLUME, "h2");
    expect([moved.code, moved.stderr]).toEqual([0, expect.stringContaining("in use there")]);
    expect((await task()).node).toBe("h2");
    expect(await content()).toBe(before);
    await h1.waitFor("the first copy is gone", async () => (await volumesOn("h1")).length === 0);
    expect(await volumesOn("h2")).toEqual([VOLUME]);
  });

  test("come whole from another machine as well", async () => {
    const before = await content();
    await h1.must("volume", "backup", VOLUME, archive);
    await inTask("rm -r /data/d /data/hard");
    await h1.must("volume", "restore", VOLUME, archive, "--stop");
    await h1.waitFor("the task is ready again", async () => (await task()).ready);
    expect(await content()).toBe(before);
  });

  test("stay where they are when the server is killed in the midst of a move", async () => {
    await inTask("head -c 400000000 /dev/urandom > /data/huge");
    const [before, was] = [await content(), await task()];
    const moving = h1.orchd("volume", "move", VOLUME, "h1", "--json");
    await h1.waitFor("the copy is under way", async () => (await volumesOn("h1")).length > 0);
    await h1.endServer();
    expect((await moving).code).not.toBe(0);
    await h1.startServer();
    await h1.waitFor("the task goes on", async () => {
      const tasks = await h1.running("shop");
      return tasks.length === 1 && tasks[0]?.ready === true;
    });
    expect((await task()).id).toBe(was.id);
    expect((await task()).node).toBe("h2");
    expect(await content()).toBe(before);
    await h1.waitFor("the half copy is gone", async () => (await volumesOn("h1")).length === 0);
    await h1.must("volume", "move", VOLUME, "h1");
    expect(await content()).toBe(before);
  });

  /** A stack that mounts a part of the volume, beside the one that has all of it. */
  function partOf(subpath: string): string {
    const service = `command: ["sleep", "1000"]
stop_grace_period: 0s
restart: "no"
deploy: { placement: { constraints: ["node.hostname == h1"] } }
volumes:
  - { type: volume, source: data, target: /part, read_only: true,
      volume: { subpath: ${subpath} } }`;
    const volumes = `volumes: { data: { external: true, name: ${VOLUME} } }`;
    return `${aStack("part", service)}${volumes}\n`;
  }

  test("are mounted in part, and no link in them leads out", async () => {
    await h1.mustUp(partOf("d/e"));
    expect(await h1.must("exec", "part/app.1", "--", "cat", "/part/small")).toBe("hi\n");
    const write = await h1.orchd("exec", "part/app.1", "--", "touch", "/part/x");
    expect(write.stderr).toContain("Read-only");
    await h1.must("down", "part");
    expect((await h1.lab.run(["ls", "/run/orchd/subpaths"])).stdout).toBe("");
    await inTask("ln -s /etc /data/out");
    const refused = await h1.up(partOf("out"));
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("over a link")]);
    await h1.must("down", "part");
  });

  test("are not the only way to a machine's files: its list says which others are", async () => {
    const bind = (source: string) => `command: ["sleep", "1000"]
stop_grace_period: 0s
restart: "no"
deploy: { placement: { constraints: ["node.hostname == h2"] } }
volumes: ["${source}:/x"]`;
    const refused = await h1.up(aStack("bind", bind("/etc")));
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining("/etc may not be mounted on this node"),
    ]);
    await h1.mustUp(aStack("bind", bind("/srv/shared/new")));
  });
});
