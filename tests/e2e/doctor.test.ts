import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { bun, orchd } from "../../scripts/project.ts";
import { signalInside } from "../../scripts/lab/lab.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import type { Diagnosis } from "../../src/model/diagnosis.ts";
import type { NodeSummary } from "../../src/model/summary.ts";

/** A program that has the port, on all addresses. */
const LISTEN = `require("node:net").createServer().listen(80, "0.0.0.0")`;

async function run(host: FleetHost, ...words: string[]): Promise<void> {
  const { code, stderr } = await host.lab.run(words);
  if (code !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
}

interface Examined {
  code: number;
  /** `check: what; remedy` */
  found: string[];
}

async function examine(host: FleetHost): Promise<Examined> {
  const env = host.clockEnvironment;
  const { code, stdout, stderr } = await host.lab.run([orchd, "doctor", "--json"], { env });
  expect(stderr).toBe("");
  const { findings, skipped } = JSON.parse(stdout) as Diagnosis;
  expect(skipped).toEqual([]);
  return { code, found: findings.map(({ check, what, remedy }) => `${check}: ${what}; ${remedy}`) };
}

/** What one check, and no other, has found wrong. */
async function theFault(host: FleetHost): Promise<string> {
  const { code, found } = await examine(host);
  expect([code, found.length]).toEqual([1, 1]);
  return found[0] ?? "";
}

const WELL: Examined = { code: 0, found: [] };

describe("orchd doctor, on machines with faults made for real", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  let h2: FleetHost;
  beforeAll(async () => {
    fleet = await Fleet.start(3);
    [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 2;
    });
    // What an agent has heard of the others is on its disk some moments later.
    await h1.waitFor("both nodes remember each other", async () => {
      const all = await Promise.all([h1, h2].map((host) => host.orchd("doctor", "--json")));
      return all.every(({ stdout }) => stdout.includes('"paths"'));
    });
  });
  afterAll(async () => fleet.stop());

  test("finds nothing where nothing is wrong, with orchd and without", async () => {
    expect(await examine(h1)).toEqual(WELL);
    expect(await examine(h2)).toEqual(WELL);
    expect(await examine(fleet.host("h3"))).toEqual(WELL);
  });

  test("names the program that has a port, until it ends", async () => {
    const program = h2.lab.spawn([bun, "-e", LISTEN]);
    await h2.waitFor("the port is taken", async () => (await examine(h2)).code === 1);
    expect(await theFault(h2)).toMatch(/^ports: port 80\/tcp is taken by bun \(pid \d+\); /);
    signalInside(program, "SIGKILL");
    await h2.waitFor("the port is free", async () => (await examine(h2)).code === 0);
  });

  test("sees that somebody switched forwarding off, and what switches it on", async () => {
    await run(h2, "sysctl", "-w", "net.ipv4.ip_forward=0");
    const fault = await theFault(h2);
    expect(fault).toStartWith("forwarding: ");
    await run(h2, "sh", "-c", /sysctl -w [^,]*/.exec(fault)?.[0] ?? "");
    expect(await examine(h2)).toEqual(WELL);
  });

  test("sees firewalls that drop, and what opens them", async () => {
    const chain = "add chain inet other gate { type filter hook forward priority 0; policy drop; }";
    await run(h2, "nft", `add table inet other; ${chain}`);
    await run(h2, "iptables", "-P", "FORWARD", "DROP");
    await run(h2, "iptables", "-N", "DOCKER-USER");
    const { code, found } = await examine(h2);
    const remedies = found.map((fault) => /allow it with: (.*)$/.exec(fault)?.[1] ?? "");
    expect([code, remedies]).toEqual([
      1,
      [
        "iptables -I DOCKER-USER -d 10.210.0.0/16 -j ACCEPT",
        "nft insert rule inet other gate ip daddr 10.210.0.0/16 accept",
      ],
    ]);
    for (const remedy of remedies) await run(h2, "sh", "-c", remedy);
    expect(await examine(h2)).toEqual(WELL);
  });

  test("sees that a route leads into the cluster's range", async () => {
    await run(h2, "ip", "route", "add", "10.210.128.0/20", "via", h1.address);
    expect(await theFault(h2)).toStartWith("range: this machine routes 10.210.128.0/20 by eth0");
    await run(h2, "ip", "route", "del", "10.210.128.0/20");
  });

  test("tries how large packets get through to other nodes", async () => {
    await run(h2, "ip", "link", "set", "eth0", "mtu", "1400");
    expect(await theFault(h1)).toMatch(/^paths: packets of 1500 bytes .* h2 .*140\d bytes/);
    await run(h2, "ip", "link", "set", "eth0", "mtu", "1500");
    expect(await examine(h1)).toEqual(WELL);
  });

  test("compares the clock with the server's", async () => {
    h2.skewClock("+10m");
    expect(await theFault(h2)).toInclude("10 min ahead of that of 10.99.0.1:6770");
    h2.skewClock("");
  });

  test("tells of another cluster on the local network, which is no fault", async () => {
    const h3 = fleet.host("h3");
    await h3.startServer();
    // Whom a machine has never spoken with it does not know.
    await h2.get(`http://${h3.address}/`);
    const { code, found } = await examine(h2);
    const answer = `strangers: another cluster of orchd answers at ${h3.address}:6770`;
    expect([code, found]).toEqual([0, [expect.stringContaining(answer)]]);
  });

  test("is for root alone", async () => {
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const { code, stderr } = await h2.lab.run([...nobody, orchd, "doctor"], { workingDir: "/" });
    expect([code, stderr]).toEqual([1, expect.stringContaining("run it as root")]);
  });
});
