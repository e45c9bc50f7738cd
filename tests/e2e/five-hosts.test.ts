import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import {
  answers,
  askFrom,
  containerOf,
  leadsTo,
  run,
  stateBefore,
  stateOf,
  type Container,
} from "./network-fixtures.ts";

const IMAGE = `image: ${HELLO_IMAGE}\n    pull_policy: never\n    init: true`;
const PORT = 8080;
/** Requests that a client has answered after a dead host has left the tables. */
const ENOUGH = 60;

const SHOP = `name: shop
services:
  web:
    ${IMAGE}
    ports: ["${PORT}:8080"]
    deploy: {mode: global}
`;
const OTHER = `name: other
services:
  client:
    ${IMAGE}
    deploy: {placement: {constraints: [node.hostname == h3]}}
`;

/** A node's name server, by which its tasks ask: the first address of the node's network. */
const serverOf = ({ address }: Container) => address.replace(/\d+$/, "1");

/** What `dig` answers to a task: one line for each address. */
async function dig(host: FleetHost, task: Container, name: string): Promise<string[]> {
  const inside = ["nsenter", "-t", task.pid, "-n"];
  const text = await run(host, ...inside, "dig", "+short", `@${serverOf(task)}`, name);
  return text.split("\n").filter(Boolean).sort();
}

interface Visit {
  begun: number;
  isAnswered: boolean;
}

/** A client that asks without a break, one request after the other, each on its own connection. */
function visitOnAndOn(host: FleetHost, url: string) {
  const visits: Visit[] = [];
  const over = new AbortController();
  const ended = (async () => {
    while (!over.signal.aborted) {
      const begun = performance.now();
      visits.push({ begun, isAnswered: (await host.get(url)) !== undefined });
    }
  })();
  const end = async () => {
    over.abort();
    await ended;
  };
  return { visits, end };
}

describe("five machines", () => {
  let fleet: Fleet;
  let hosts: FleetHost[];
  let before: Record<string, string>[];
  const server = () => fleet.host("h1");

  beforeAll(async () => {
    fleet = await Fleet.start(5);
    hosts = [...fleet.hosts];
    before = await Promise.all(hosts.map((host) => stateBefore(host)));
    await server().startServer();
    const token = await server().token();
    for (const host of hosts.slice(1)) host.spawnAgent([`${token}@${server().address}`]);
    await server().waitFor("all nodes are ready", async () => {
      const nodes = await server().json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 5;
    });
    await Promise.all([
      server().up(SHOP),
      server().orchd("up", "-f", server().write("other.yaml", OTHER)),
    ]);
  });
  afterAll(async () => fleet.stop());

  test("resolve and reach the tasks of one stack by name, from each of them", async () => {
    const tasks = await Promise.all(hosts.map((host) => containerOf(host, "shop")));
    const addresses = tasks.map(({ address }) => address).sort();
    const virtual: string[][] = [];
    for (const [i, host] of hosts.entries()) {
      const task = tasks[i] ?? { pid: "", address: "" };
      await host.waitFor("dig agrees on who is there", async () => {
        return (await dig(host, task, "tasks.web")).join() === addresses.join();
      });
      virtual.push(await dig(host, task, "web.orchd.internal"));
      expect(await dig(host, task, "web.shop")).toEqual(virtual.at(-1) ?? []);
      const [url] = virtual.at(-1) ?? [];
      for (const address of [...addresses, url ?? ""]) {
        expect(await askFrom(host, task, `http://${address}:8080/`)).toBeString();
      }
    }
    expect(new Set(virtual.map((one) => one.join())).size).toBe(1);
    expect(virtual[0]).toHaveLength(1);
  });

  test("keep it from those of another stack, by name and by address", async () => {
    const h3 = fleet.host("h3");
    const [stranger, own] = [await containerOf(h3, "other"), await containerOf(h3, "shop")];
    const [virtual = ""] = await dig(h3, own, "web.orchd.internal");
    for (const name of ["web.orchd.internal", "tasks.web.shop.orchd.internal"]) {
      expect(await dig(h3, stranger, name)).toEqual([]);
    }
    const far = await containerOf(fleet.host("h5"), "shop");
    const heard = await Promise.all(
      [virtual, own.address, far.address].map((to) => askFrom(h3, stranger, `http://${to}:8080/`)),
    );
    expect(heard).toEqual([undefined, undefined, undefined]);
  });

  test("answer on each host's published port, for the tasks of all", async () => {
    for (const host of hosts) {
      const url = `http://${host.address}:${PORT}/`;
      await server().waitFor(`${url} leads to all`, async () => {
        return (await answers(server(), url, 30)).size === hosts.length;
      });
      expect(await answers(server(), url, 20)).not.toContain("nobody");
    }
  });

  /** Cuts the power of a host under a client of another; tells how its requests fared. */
  async function cutUnderClient(dying: FleetHost): Promise<void> {
    const h2 = fleet.host("h2");
    const { address } = await containerOf(dying, "shop");
    const client = visitOnAndOn(h2, `http://${h2.address}:${PORT}/`);
    const { visits } = client;
    await h2.waitFor("the client is answered", () => visits.length > 20);
    expect(await leadsTo(h2, address)).toBe(true);
    const cutAt = performance.now();
    await dying.cutPower();
    await h2.waitFor("the dead host is out of the tables", async () => {
      return !(await leadsTo(h2, address));
    });
    const goneAt = performance.now();
    const after = () => visits.filter(({ begun }) => begun > goneAt);
    await h2.waitFor("the client goes on", () => after().length >= ENOUGH);
    await client.end();
    // What was lost was on its way to a host of which nobody knew yet that it was dead.
    const lost = visits.filter(({ isAnswered }) => !isAnswered);
    expect(lost.filter(({ begun }) => begun < cutAt).length).toBeLessThanOrEqual(1);
    expect(after().every(({ isAnswered }) => isAnswered)).toBe(true);
  }

  test("cost a client what was on its way to a host whose power is cut, and no more", async () => {
    await cutUnderClient(fleet.host("h4"));
  });

  test("cost no more than that where there is no server either", async () => {
    await server().endServer();
    await cutUnderClient(fleet.host("h3"));
    await server().startServer();
  });

  test("leave a machine as it was before it joined", async () => {
    const h5 = fleet.host("h5");
    await server().waitFor("h5 has the server back", async () => {
      const nodes = await server().json<NodeSummary[]>("nodes");
      const isBack = h5.log.split("connected to the server").length === 3;
      return isBack && nodes.some((node) => node.hostname === "h5" && node.health === "ready");
    });
    await server().must("node", "rm", "h5", "--force");
    await h5.waitFor("h5 has left", () => h5.log.includes("the node has left the cluster"));
    expect(await stateOf(h5)).toEqual(before[4] ?? {});
  });
});
