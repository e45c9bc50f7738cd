import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { signalInside } from "../../scripts/lab/lab.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { HELLO_IMAGE, writeHelloImage } from "../../scripts/image.ts";
import type { NetworkInspection } from "../../src/model/network-summary.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import { answers, askFrom, containerOf, run, stateBefore, stateOf } from "./network-fixtures.ts";

/** A service with a task on each node, and one that has a virtual address and no task. */
const MORE = `  peer:
    image: ${HELLO_IMAGE}
    pull_policy: never
    deploy: {mode: global}
  empty:
    image: ${HELLO_IMAGE}
    pull_policy: never
    deploy: {replicas: 0}
`;

/** A stack of which a service runs on every node and says the stack's name. */
function everywhere(name: string, more = ""): string {
  return `name: ${name}
services:
  web:
    image: ${HELLO_IMAGE}
    pull_policy: never
    environment: {GREETING: ${name}}
    deploy: {mode: global}
${more}`;
}

/**
 * Makes a machine be as one that had containers with IPv6 before: its kernel passes packets on and
 * has the addresses of every router then, and Podman's own rules are there.
 */
async function hasPassedIpv6(host: FleetHost): Promise<void> {
  await run(host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  const archive = join(host.lab.dir, "hello.tar");
  writeHelloImage(archive);
  await host.podman("load", "--input", archive);
  await host.podman("network", "create", "--ipv6", "once");
  await host.podman("run", "--rm", "--network", "once", HELLO_IMAGE, "sh", "-c", ":");
  await host.podman("network", "rm", "once");
}

/** A task as others reach it by IPv6. */
interface Task {
  pid: string;
  address: string;
  /** Its link's own, which means something on its node alone. */
  linkAddress: string;
}

async function taskOf(host: FleetHost, stack: string, service = "web"): Promise<Task> {
  const pid = await pidOf(host, stack, service);
  const ip = ["nsenter", "-t", pid, "-n", "ip", "-6", "-o", "addr", "show", "dev", "eth0"];
  const text = await run(host, ...ip);
  const of = (scope: string) =>
    new RegExp(`inet6 (\\S+)/\\d+ scope ${scope}`).exec(text)?.[1] ?? "";
  return { pid, address: of("global"), linkAddress: of("link") };
}

async function pidOf(host: FleetHost, stack: string, service: string): Promise<string> {
  const of = { stack, service };
  const filters = Object.entries(of).flatMap(([key, value]) => {
    return ["--filter", `label=orchd.${key}=${value}`];
  });
  const id = await host.podman("ps", "--quiet", ...filters);
  return host.podman("inspect", "--format", "{{.State.Pid}}", id.trim());
}

/** Who answers a task on a port of an address, asked often enough to hear everybody. */
async function heardBy(host: FleetHost, from: Task, address: string, tries: number) {
  const heard = new Set<string | undefined>();
  for (let i = 0; i < tries; i++) heard.add(await askFrom(host, from, `http://[${address}]:8080/`));
  return heard;
}

describe("tasks of a cluster with IPv6", () => {
  let fleet: Fleet;
  let before: Record<string, string> = {};
  const [h1, h2] = [() => fleet.host("h1"), () => fleet.host("h2")];
  const hosts = () => [h1(), h2()];

  async function virtualOf(stack: string, service = "web"): Promise<string> {
    const [network] = await h1().json<NetworkInspection[]>(
      "network",
      "inspect",
      `${stack}_default`,
    );
    return network?.members.find((one) => one.service === service)?.virtualIp6 ?? "";
  }

  /** Each task of the stack has heard each by its own address, and all by the virtual one. */
  async function reachEachOther(stack: string): Promise<void> {
    const virtual = await virtualOf(stack);
    for (const host of hosts()) {
      const from = await taskOf(host, stack);
      for (const other of hosts()) {
        const to = await taskOf(other, stack);
        await host.waitFor(`${from.address} reaches ${to.address}`, async () => {
          return (await askFrom(host, from, `http://[${to.address}]:8080/`)) !== undefined;
        });
      }
      const all = await heardBy(host, from, virtual, 20);
      expect([...all].filter((one) => one?.startsWith(stack))).toHaveLength(2);
      expect(all.size).toBe(2);
    }
  }

  beforeAll(async () => {
    fleet = await Fleet.start(2);
    for (const [i, host] of hosts().entries()) {
      await run(host, "ip", "addr", "add", `2001:db8::${i + 1}/64`, "dev", "eth0", "nodad");
    }
    await hasPassedIpv6(h2());
    before = await stateBefore(h2());
    await h1().startServer(["--ipv6"]);
    h2().spawnAgent([`${await h1().token()}@${h1().address}`]);
    await h1().waitFor("both nodes are ready", async () => {
      const nodes = await h1().json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1().loadImage();
    await h1().mustUp(everywhere("shop", `    ports: ["8080:8080"]\n`));
    await h1().mustUp(everywhere("other", MORE));
  });
  afterAll(async () => fleet.stop());

  test("have addresses that end with those of IPv4, and reach each other by them", async () => {
    const { address } = await containerOf(h2(), "shop");
    const digits = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
    const [a = "", b = "", c = "", d = ""] = digits;
    const last = [a + b, c + d].map((word) => word.replace(/^0+/, ""));
    expect((await taskOf(h2(), "shop")).address).toMatch(
      new RegExp(`^fd[0-9a-f:]+:${last.join(":")}$`),
    );
    await reachEachOther("shop");
  });

  test("do not keep a machine from hearing its router, nor let it hear them", async () => {
    const setting = (device: string) =>
      run(h1(), "cat", `/proc/sys/net/ipv6/conf/${device}/accept_ra`);
    expect(await run(h1(), "cat", "/proc/sys/net/ipv6/conf/all/forwarding")).toBe("1");
    expect(await setting("eth0")).toBe("2");
    expect(await setting("orchd0")).not.toBe("2");
  });

  test("are found by name, from address to name as well", async () => {
    const from = await taskOf(h1(), "shop");
    const to = await taskOf(h2(), "shop");
    const ask = async (...words: string[]) => {
      const dig = ["dig", "+short", "+time=2", "@10.210.1.1", ...words];
      return (await run(h1(), "nsenter", "-t", from.pid, "-n", ...dig)).split("\n").sort();
    };
    expect(await ask("web", "AAAA")).toEqual([await virtualOf("shop")]);
    expect(await ask("tasks.web", "AAAA")).toEqual([from.address, to.address].sort());
    expect(await ask("tasks.web.other", "AAAA")).toEqual([""]);
    expect((await ask("-x", to.address))[0]).toMatch(/^\S+\.web\.shop\.orchd\.internal\.$/);
  });

  test("of another stack are kept apart, by the addresses of their links too", async () => {
    const from = await taskOf(h1(), "other");
    const ping = (address: string) =>
      h1().lab.run([
        "nsenter",
        "-t",
        from.pid,
        "-n",
        "busybox",
        "ping6",
        "-c",
        "1",
        "-W",
        "1",
        address,
      ]);
    const near = await taskOf(h1(), "shop");
    const far = await taskOf(h2(), "shop");
    for (const address of [near.address, far.address, await virtualOf("shop")]) {
      expect(await heardBy(h1(), from, address, 1)).toEqual(new Set([undefined]));
    }
    const peer = await taskOf(h1(), "other", "peer");
    expect(await heardBy(h1(), from, peer.address, 1)).not.toContain(undefined);
    expect((await ping(`${peer.linkAddress}%eth0`)).code).not.toBe(0);
    expect((await ping(`${near.linkAddress}%eth0`)).code).not.toBe(0);
    expect((await ping((await taskOf(h2(), "other")).address)).code).toBe(0);
  });

  test("answer on a published port of each machine", async () => {
    for (const i of [1, 2]) {
      const url = `http://[2001:db8::${i}]:8080/`;
      for (const host of hosts()) expect((await answers(host, url, 30)).size).toBe(2);
      expect(await askFrom(h1(), await taskOf(h1(), "other"), url)).toStartWith("shop");
    }
    const { address } = await taskOf(h2(), "shop");
    const flows = await run(h2(), "cat", "/proc/net/nf_conntrack");
    const clients = flows.split("\n").filter((flow) => flow.includes("dst=2001:0db8"));
    expect(address).not.toBe("");
    expect(
      clients.some((flow) => flow.includes("src=2001:0db8:0000:0000:0000:0000:0000:0001")),
    ).toBe(true);
  });

  test("of a service that has none are nobody, and no program of the machine is", async () => {
    const from = await taskOf(h1(), "other");
    const virtual = await virtualOf("other", "empty");
    const gateway = from.address.replace(/[^:]+$/, (last) => last.replace(/..$/, "01"));
    const ask = (address: string) => askFrom(h1(), from, `http://[${address}]:9099/proc/version`);
    const program = h1().lab.spawn(["busybox", "httpd", "-f", "-p", "[::]:9099", "-h", "/"]);
    try {
      await h1().waitFor("the machine's own program answers", async () => {
        return (await ask(gateway)) !== undefined;
      });
      expect(virtual).not.toBe("");
      expect(await ask(virtual)).toBeUndefined();
    } finally {
      signalInside(program, "SIGKILL");
    }
  });

  test("are reached again after somebody removed the routes", async () => {
    await run(h2(), "ip", "-6", "route", "flush", "proto", "210");
    await reachEachOther("shop");
  });

  test("stay so in a cluster that is told of another way between nodes", async () => {
    await h1().endServer("SIGTERM");
    await h1().startServer(["--network", "wireguard"]);
    for (const host of hosts()) {
      await host.waitFor("WireGuard is there", async () => {
        const routes = await run(host, "ip", "-6", "route");
        return routes.includes("dev orchd-wg") && !routes.includes("dev orchd-vx");
      });
    }
    await reachEachOther("shop");
  });

  test("are gone from a machine that is removed, as if they had never been", async () => {
    await h1().must("node", "rm", "h2", "--force");
    await h2().waitFor("the node has left", () =>
      h2().log.includes("the node has left the cluster"),
    );
    expect(await stateOf(h2())).toEqual(before);
  });
});
