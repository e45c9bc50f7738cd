import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { HELLO_IMAGE, writeHelloImage } from "../../scripts/image.ts";
import { orchd } from "../../scripts/project.ts";

describe("a lab of three hosts", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(3);
  });
  afterAll(async () => fleet.stop());

  test("has hosts with a name of their own that reach each other and nothing else", async () => {
    for (const from of fleet.hosts) {
      expect((await from.lab.run(["hostname"])).stdout.trim()).toBe(from.name);
      for (const to of fleet.hosts) expect(await pings(from, to.address)).toBe(true);
      expect(await pings(from, "192.0.2.1")).toBe(false);
    }
  });

  test("cuts a link and mends it", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    await h2.cutLink();
    expect(await pings(h1, h2.address)).toBe(false);
    expect(await pings(h1, h3.address)).toBe(true);
    await h2.mendLink();
    await h1.waitFor("h2 is back", () => pings(h1, h2.address));
  });

  test("cuts the way between two hosts alone", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    await fleet.switch.cutBetween(h1.port, h2.port);
    expect(await pings(h1, h2.address)).toBe(false);
    expect(await pings(h1, h3.address)).toBe(true);
    expect(await pings(h2, h3.address)).toBe(true);
    await fleet.switch.mend();
    expect(await pings(h1, h2.address)).toBe(true);
  });

  test("loses packets", async () => {
    const [h1, h2] = hostsOf(fleet);
    await fleet.switch.lose(h2.port, 50);
    const ping = ["busybox", "ping", "-c", "40", "-i", "0.02", "-W", "1", h2.address];
    const [, received] = /(\d+) packets received/.exec((await h1.lab.run(ping)).stdout) ?? [];
    expect(Number(received)).toBeWithin(1, 40);
    await fleet.switch.mend();
    expect(await pings(h1, h2.address)).toBe(true);
  });

  test("blocks one port as a firewall would", async () => {
    const [h1, h2] = hostsOf(fleet);
    await h2.block("tcp", 9);
    const command = ["busybox", "nc", "-w", "1", h2.address, "9"];
    const blocked = await h1.lab.run(["timeout", "1", ...command]);
    expect(blocked.stderr).not.toInclude("refused");
    const open = await h1.lab.run(["busybox", "nc", "-w", "1", h2.address, "10"]);
    expect(open.stderr).toInclude("refused");
  });

  test("moves a host to another range of addresses", async () => {
    const [h1, h2] = hostsOf(fleet);
    const before = h2.address;
    await h2.moveTo(1);
    expect(h2.address).not.toBe(before);
    expect(await pings(h1, before)).toBe(false);
    await h2.moveTo(0);
    expect(await pings(h1, before)).toBe(true);
  });

  test("cuts a host's power: its processes and /run are gone, its disk is there", async () => {
    const [, h2] = hostsOf(fleet);
    const archive = join(h2.lab.dir, "hello.tar");
    writeHelloImage(archive, HELLO_IMAGE);
    await h2.podman("load", "--input", archive);
    await h2.podman("run", "--detach", "--network=host", "--name", "one", HELLO_IMAGE);
    writeFileSync(join(h2.lab.root, "run", "volatile"), "");
    expect(await h2.podman("ps", "--quiet")).not.toBe("");
    await h2.cutPower();
    await h2.boot();
    expect(existsSync(join(h2.lab.root, "run", "volatile"))).toBe(false);
    expect(await h2.podman("ps", "--quiet")).toBe("");
    expect(await h2.podman("ps", "--all", "--format", "{{.Names}}")).toBe("one");
    await h2.podman("start", "one");
    const [h1] = hostsOf(fleet);
    expect(await pings(h1, h2.address)).toBe(true);
  });

  test("skews the clock that orchd sees", async () => {
    const [h1] = hostsOf(fleet);
    h1.skewClock("@1970-01-02 00:00:00");
    h1.spawnServer(["--runtime", "fake", "--data-dir", join(h1.lab.dir, "skewed")]);
    await h1.waitFor("the server speaks", () => h1.log.includes("answers on"));
    expect(h1.log).toInclude("1970-01-02T00:00:0");
    await h1.endServer();
    h1.skewClock("");
  });
});

test("a lab leaves nothing on the machine's own network", async () => {
  const before = readFileSync("/proc/net/dev", "utf8").match(/^\s*\S+:/gm);
  const fleet = await Fleet.start(2);
  expect(readFileSync("/proc/net/dev", "utf8").match(/^\s*\S+:/gm)).toEqual(before);
  const dirs = fleet.hosts.map((host) => host.lab.dir);
  await fleet.stop();
  expect(dirs.filter(existsSync)).toEqual([]);
  expect(existsSync(orchd)).toBe(true);
});

function hostsOf(fleet: Fleet): [FleetHost, FleetHost, FleetHost] {
  return [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
}

async function pings(from: FleetHost, address: string): Promise<boolean> {
  return (await from.lab.run(["busybox", "ping", "-c", "1", "-W", "1", address])).code === 0;
}
