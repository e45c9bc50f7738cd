import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../src/model/event.ts";
import { file, HELLO_IMAGE, writeImage } from "../../scripts/image.ts";
import { aStack, Host } from "../../scripts/lab/host.ts";

const MIB = 1024 ** 2;
const STORAGE = "/var/lib/containers";
/** Of so small a disk 128 MiB are little room, and 64 MiB none. */
const DISK = "size=640m";
const LITTLE_MIB = 100;
const NEARLY_LITTLE_MIB = 124;
const NONE_MIB = 50;
const IMAGE_MIB = 80;
const LIST = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
const NEWER_IMAGE = "localhost/orchd-hello:2";
/** What it prints when it is told to is a little more than one part of its log. */
const CHATTY =
  "until [ -e /data/speak ]; do sleep 0.2; done; " +
  "yes $$(printf %0960d 0) | head -c 11000000; sleep 1000000";

describe("a node whose disk gets full", () => {
  let host: Host;
  /** The task's log, as it is reached from outside. */
  let log = "";
  let running: string[] = [];
  beforeAll(async () => {
    host = await Host.bare();
    const mounted = await host.lab.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", STORAGE]);
    expect(mounted.code).toBe(0);
    await host.startServer();
    await host.loadImage();
    await host.loadImage(NEWER_IMAGE);
    await host.mustUp(shop(HELLO_IMAGE));
    await host.mustUp(shop(NEWER_IMAGE));
    for (const name of ["unused:1", "unused:2", "unnamed:1"]) await load(`localhost/${name}`);
    await host.podman("untag", "localhost/unnamed:1");
    await host.must("exec", "shop/app.1", "--", "sh", "-c", "echo kept > /data/file");
    running = await host.containers("shop");
    const format = ["--format", "{{.HostConfig.LogConfig.Path}}"];
    const path = await host.podman("inspect", ...format, running[0]?.split(" ")[0] ?? "");
    log = join(host.lab.root, path);
    await host.waitFor("its log has been seen", () => existsSync(`${log}.live`));
    await host.must("exec", "shop/app.1", "--", "touch", "/data/speak");
    await host.waitFor("a part of its log was kept", () => existsSync(`${log}.1`));
  });
  afterAll(async () => host.stop());

  function shop(image: string): string {
    const service = `command: ["sh", "-c", "${CHATTY}"]
stop_grace_period: 0s
volumes: ["data:/data"]`;
    return `${aStack("shop", service).replace(HELLO_IMAGE, image)}volumes: { data: {} }\n`;
  }

  /** An image that nobody but the node's runtime knows. */
  async function load(reference: string): Promise<void> {
    const path = host.write("image.tar", "");
    writeImage(path, reference, [file("large", randomBytes(IMAGE_MIB * MIB))], {});
    await host.podman("load", "--input", path);
    rmSync(path);
  }

  /** Puts so much on the disk that this is left. */
  async function leaveFree(mib: number): Promise<void> {
    const { bavail, bsize } = statfsSync(join(host.lab.root, STORAGE));
    const filler = join(STORAGE, "filler");
    const there = statSync(join(host.lab.root, filler), { throwIfNoEntry: false })?.size ?? 0;
    const size = there + bavail * bsize - mib * MIB;
    const filled = await host.lab.run(["fallocate", "--length", String(size), filler]);
    expect([filled.code, filled.stderr]).toEqual([0, ""]);
  }

  async function images(): Promise<string[]> {
    return largeIn(await host.podman(...LIST));
  }

  function largeIn(list: string): string[] {
    return list.split("\n").filter((name) => /unused|none/.test(name));
  }

  async function diskEvents(): Promise<string[]> {
    const lines = (await host.must("events", "--json")).trim().split("\n");
    const events = lines.map((line) => JSON.parse(line) as Event);
    return events.map(({ action }) => action).filter((action) => action.startsWith("disk "));
  }

  async function waitForImages(count: number): Promise<void> {
    await host.waitFor(`${count} are left`, async () => {
      // Podman lists none while one of them is being removed.
      const { code, stdout } = await host.lab.podman(...LIST);
      return code === 0 && largeIn(stdout).length === count;
    });
  }

  test("loses parts of logs first, and no image where that is enough", async () => {
    await leaveFree(NEARLY_LITTLE_MIB);
    await host.waitFor("the part is gone", () => !existsSync(`${log}.1`));
    expect(existsSync(log)).toBeTrue();
    expect(await images()).toHaveLength(3);
  });

  test("tells that it has little room, and loses images without a name next", async () => {
    expect(await diskEvents()).toEqual([]);
    await leaveFree(LITTLE_MIB);
    await waitForImages(2);
    expect((await images()).every((name) => name.includes("unused"))).toBeTrue();
    await host.waitFor("there is room", async () => (await diskEvents()).length === 2);
    expect(await diskEvents()).toEqual(["disk low", "disk roomy"]);
  });

  test("loses images that nobody needs next", async () => {
    await leaveFree(LITTLE_MIB);
    await host.waitFor("there is room", async () => (await diskEvents()).length === 4);
    expect(await images()).toHaveLength(1);
    await leaveFree(LITTLE_MIB);
    await waitForImages(0);
  });

  test("keeps what runs, what can be gone back to and what volumes hold", async () => {
    await host.waitFor("there is room", async () => (await diskEvents()).length === 6);
    await leaveFree(LITTLE_MIB);
    await host.waitFor("it is told", async () => (await diskEvents()).at(-1) === "disk low");
    await leaveFree(NONE_MIB);
    await host.waitFor("it is told", async () => (await diskEvents()).at(-1) === "disk full");
    const kept = await host.podman(...LIST);
    expect(kept.split("\n").sort()).toEqual([HELLO_IMAGE, NEWER_IMAGE]);
    expect(await host.must("exec", "shop/app.1", "--", "cat", "/data/file")).toBe("kept\n");
    expect(await host.containers("shop")).toEqual(running);
  });

  test("takes no other task, says why, and takes it once there is room", async () => {
    const other = aStack("other", 'command: ["sleep", "1000000"]\nstop_grace_period: 0s');
    expect((await host.up(other, "--detach")).code).toBe(0);
    const why = "has no room on its disk: 50";
    await host.waitFor("it says why", async () => {
      return (await host.must("explain", "other/app")).includes(why);
    });
    expect(await host.running("other")).toEqual([]);
    await host.lab.run(["rm", join(STORAGE, "filler")]);
    await host.waitConverged("other/app");
    expect((await diskEvents()).at(-1)).toBe("disk roomy");
    await host.must("rollout", "undo", "shop/app");
    await host.waitConverged("shop/app");
    expect((await host.service("shop/app")).image).toBe(HELLO_IMAGE);
  });
});
