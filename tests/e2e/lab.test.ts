import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { HELLO_IMAGE, writeHelloImage } from "../../scripts/image.ts";
import { bun, orchd } from "../../scripts/project.ts";

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

  test("cuts one way alone, and counts what is sent", async () => {
    const [h1, h2] = hostsOf(fleet);
    await fleet.switch.cutOneWay(h2.port, h1.port);
    const [there, back] = await bytesBetween(fleet, h1, h2);
    expect(await pings(h1, h2.address)).toBe(false);
    const [thereLater, backLater] = await bytesBetween(fleet, h1, h2);
    expect([thereLater - there, backLater - back]).toEqual([84, 84]);
    await fleet.switch.mend();
    expect(await pings(h1, h2.address)).toBe(true);
  });

  test("delays what goes to and from a host, and what another sends not", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    await fleet.switch.delay(h2.port, 100);
    await h1.waitFor("the cable carries", () => pings(h1, h2.address));
    expect(await roundTripMs(h1, h2)).toBeGreaterThanOrEqual(200);
    expect(await roundTripMs(h1, h3)).toBeLessThan(100);
    await h2.cutPower();
    await h2.boot();
    await h1.waitFor("h2 is back", () => pings(h1, h2.address));
    expect(await roundTripMs(h1, h2)).toBeGreaterThanOrEqual(200);
    await fleet.switch.mend();
    await h1.waitFor("the cable is short", async () => (await roundTripMs(h1, h2)) < 100);
  });

  test("carries multicast to every host", async () => {
    const [h1, h2, h3] = hostsOf(fleet);
    const ends = [h2, h3].map((host) => host.lab.spawn([bun, "-e", LISTEN]));
    const heard = ends.map(() => "");
    ends.forEach((end, i) => {
      end.stdout?.setEncoding("utf8").on("data", (text: string) => (heard[i] += text));
    });
    await h1.waitFor("both listen", () => heard.every((text) => text.includes("listening")));
    await h1.lab.run([bun, "-e", SPEAK]);
    await h1.waitFor("both heard it", () => heard.every((text) => text.includes("hello")));
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

/** Sent by the first to the second, and back, until now. */
async function bytesBetween(fleet: Fleet, a: FleetHost, b: FleetHost): Promise<[number, number]> {
  return [
    await fleet.switch.bytesSent(a.port, b.port),
    await fleet.switch.bytesSent(b.port, a.port),
  ];
}

/** The shortest of three, so that a busy machine does not count. */
async function roundTripMs(from: FleetHost, to: FleetHost): Promise<number> {
  const ping = ["busybox", "ping", "-c", "3", "-i", "0.1", "-W", "2", to.address];
  const { stdout } = await from.lab.run(ping);
  return Number(/min\/avg\/max = ([\d.]+)/.exec(stdout)?.[1] ?? Infinity);
}

const GROUP = "239.99.0.1";
const LISTEN = `
  const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (text) => { console.log(String(text)); process.exit(); });
  socket.bind(9999, () => { socket.addMembership("${GROUP}"); console.log("listening"); });`;
const SPEAK = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.send("hello", 9999, "${GROUP}", () => socket.close());`;

function hostsOf(fleet: Fleet): [FleetHost, FleetHost, FleetHost] {
  return [fleet.host("h1"), fleet.host("h2"), fleet.host("h3")];
}

async function pings(from: FleetHost, address: string): Promise<boolean> {
  return (await from.lab.run(["busybox", "ping", "-c", "1", "-W", "1", address])).code === 0;
}
