import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { signalInside } from "../../scripts/lab/lab.ts";
import { bun } from "../../scripts/project.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import {
  answers,
  askFrom,
  containerOf,
  leadsTo,
  run,
  stateBefore,
  stateOf,
} from "./network-fixtures.ts";
import type { NodeSummary } from "../../src/model/summary.ts";

const IMAGE = `image: ${HELLO_IMAGE}\n    pull_policy: never`;

const UDP_PORT = 9000;
const CLIENTS = 12;
const UDP_END = join(import.meta.dir, "udp-end.ts");

/** A stack whose one service runs on every node and says the stack's name. */
function everywhere(name: string, port?: number): string {
  const both = `["${port}:8080", "${UDP_PORT}:${UDP_PORT}/udp"]`;
  const ports = port === undefined ? "" : `\n    ports: ${both}`;
  const greeting = `environment: {GREETING: ${name}}`;
  const mode = "deploy: {mode: global}";
  return `name: ${name}\nservices:\n  web:\n    ${IMAGE}\n    ${greeting}\n    ${mode}${ports}\n`;
}

const STICKY = `name: sticky
services:
  web:
    ${IMAGE}
    environment: {GREETING: sticky}
    deploy: {mode: global}
    ports: ["8082:8080"]
    x-orchd: {sticky: 10m}
  alone:
    ${IMAGE}
    environment: {GREETING: alone}
    deploy: {placement: {constraints: ["node.hostname == h2"]}}
    ports: [{target: 8080, published: 8083, mode: host}]
`;

/** A service on the second machine, and two on the first, in networks that their files name. */
const SHARED = `name: door
services:
  web:
    ${IMAGE}
    environment: {GREETING: door}
    networks: {common: {aliases: [entrance]}}
    deploy: {placement: {constraints: ["node.hostname == h2"]}}
networks: {common: {name: common}}
`;
const GUESTS = `name: guests
services:
  guest:
    ${IMAGE}
    networks: [common]
    deploy: {placement: {constraints: ["node.hostname == h1"]}}
  inside:
    ${IMAGE}
    networks: [closed]
    deploy: {placement: {constraints: ["node.hostname == h1"]}}
networks: {common: {external: true}, closed: {internal: true}}
`;

/** Clients that ask for ever, each from one port; answers how many were answered last. */
function askByUdp(host: FleetHost): { heard: () => number; end: () => void } {
  const words = [bun, UDP_END, "ask", host.address, `${UDP_PORT}`, `${CLIENTS}`];
  const child = host.lab.spawn(words);
  let heard = 0;
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (heard = Number(text)));
  return { heard: () => heard, end: () => signalInside(child, "SIGKILL") };
}

describe("the network of three machines", () => {
  let fleet: Fleet;
  let hosts: FleetHost[];
  const server = () => fleet.host("h1");
  const before: Record<string, string>[] = [];

  async function health(name: string): Promise<string | undefined> {
    const nodes = await server().json<NodeSummary[]>("nodes");
    return nodes.find(({ hostname }) => hostname === name)?.health;
  }

  async function virtualIpOf(stack: string): Promise<string> {
    const rules = await run(server(), "nft", "list", "table", "ip", "orchd");
    const { address } = await containerOf(server(), stack);
    const chains = [...rules.matchAll(/chain service_(\S+) \{\n([^}]*\})/g)];
    return chains.find(([, , body = ""]) => body.includes(`${address},`))?.[1] ?? "";
  }

  beforeAll(async () => {
    fleet = await Fleet.start(3);
    hosts = [...fleet.hosts];
    for (const host of hosts) {
      await host.waitFor("its own address is settled", async () => {
        return (await run(host, "ip", "-6", "-o", "addr", "show", "tentative")) === "";
      });
      before.push(await stateBefore(host));
    }
    await server().startServer();
    const token = await server().token();
    for (const host of hosts.slice(1)) host.spawnAgent([`${token}@${server().address}`]);
    await server().waitFor("all nodes are ready", async () => {
      const all = await Promise.all(hosts.map(({ name }) => health(name)));
      return all.every((one) => one === "ready");
    });
    await server().mustUp(everywhere("shop", 8080));
    await server().mustUp(everywhere("other"));
  });
  afterAll(async () => fleet.stop());

  test("leads tasks of one stack to each other, by address and by virtual address", async () => {
    const tasks = await Promise.all(hosts.map((host) => containerOf(host, "shop")));
    const virtualIp = await virtualIpOf("shop");
    for (const [i, host] of hosts.entries()) {
      const from = tasks[i] ?? { pid: "", address: "" };
      for (const to of tasks) {
        const url = `http://${to.address}:8080/`;
        await host.waitFor(`${from.address} reaches ${to.address}`, async () => {
          return (await askFrom(host, from, url))?.startsWith("shop") ?? false;
        });
      }
      const heard = new Set<string | undefined>();
      await host.waitFor(`${from.address} reaches all through ${virtualIp}`, async () => {
        heard.add(await askFrom(host, from, `http://${virtualIp}:8080/`));
        return heard.size === 3;
      });
      expect(heard).not.toContain(undefined);
    }
  });

  test("keeps tasks of another stack apart, here and there", async () => {
    const virtualIp = await virtualIpOf("shop");
    const from = await containerOf(server(), "other");
    const urls = [`http://${virtualIp}:8080/`];
    for (const host of hosts)
      urls.push(`http://${(await containerOf(host, "shop")).address}:8080/`);
    const heard = await Promise.all(urls.map((url) => askFrom(server(), from, url)));
    expect(heard).toEqual(urls.map(() => undefined));
    // What is published is for everybody.
    expect(await askFrom(server(), from, `http://${server().address}:8080/`)).toStartWith("shop");
  });

  test("answers on a published port of each machine, for the tasks on all of them", async () => {
    for (const host of hosts) {
      expect((await answers(server(), `http://${host.address}:8080/`, 40)).size).toBe(3);
      expect((await answers(host, "http://127.0.0.1:8080/", 40)).size).toBe(3);
    }
  });

  test("leads a client of a sticky port to one task, and to a host port on its host", async () => {
    const [h1, h2, h3] = [server(), fleet.host("h2"), fleet.host("h3")];
    await h1.mustUp(STICKY);
    const heard = new Set<string>();
    for (const host of hosts) {
      for (const one of await answers(h1, `http://${host.address}:8082/`, 10)) heard.add(one);
    }
    expect([...heard]).toEqual([expect.stringMatching(/^sticky from /)]);
    expect(await h1.get(`http://${h2.address}:8083/`)).toStartWith("alone");
    expect(await h1.get(`http://${h3.address}:8083/`)).toBeUndefined();
    await h1.must("down", "sticky");
  });

  test("keeps the client's address where the task is on the machine", async () => {
    const [h1, h2] = [server(), fleet.host("h2")];
    await answers(h1, `http://${h2.address}:8080/`, 20);
    const { address } = await containerOf(h2, "shop");
    const flows = await run(
      h2,
      "grep",
      `src=${address} dst=${h1.address}`,
      "/proc/net/nf_conntrack",
    );
    expect(flows).toInclude(`src=${h1.address} dst=${h2.address}`);
  });

  test("has an answer sent again that came unfit, instead of breaking the connection", async () => {
    const [h1, h2] = [server(), fleet.host("h2")];
    const { address } = await containerOf(h2, "shop");
    const rule = `ip saddr ${address} tcp sport 8080 tcp flags & psh == psh`;
    const once = "limit rate 1/day burst 1 packets counter tcp flags set syn | fin | ack";
    const chain = `chain sent { type filter hook postrouting priority 300; ${rule} ${once}\n}`;
    await run(h2, "nft", `table ip forger {\n${chain}\n}`);
    try {
      expect(await answers(h1, "http://127.0.0.1:8080/", 40)).not.toContain("nobody");
      expect(await run(h2, "nft", "list", "table", "ip", "forger")).toInclude("packets 1 ");
    } finally {
      await run(h2, "nft", "delete", "table", "ip", "forger");
    }
  });

  test("makes its rules again when somebody flushes all of them", async () => {
    const [h1, h3] = [server(), fleet.host("h3")];
    await run(h3, "nft", "flush", "ruleset");
    const flushedAt = performance.now();
    await h3.waitFor("the rules are there", async () => {
      return (await h3.lab.run(["nft", "list", "table", "ip", "orchd"])).code === 0;
    });
    expect(performance.now() - flushedAt).toBeLessThan(4000);
    await h1.waitFor("the port answers", async () => {
      return (await h1.get(`http://${h3.address}:8080/`)) !== undefined;
    });
    expect(h3.log).toInclude("somebody has changed orchd's rules: they are made again");
  });

  test("makes its links again when somebody removes them", async () => {
    const [h1, h2] = [server(), fleet.host("h2")];
    await run(h2, "ip", "link", "del", "orchd-vx");
    const [from, to] = [await containerOf(h1, "shop"), await containerOf(h2, "shop")];
    await h1.waitFor("the task on h2 answers", async () => {
      return (await askFrom(h1, from, `http://${to.address}:8080/`)) !== undefined;
    });
  });

  test("takes a machine whose power was cut out of all tables, also with no server", async () => {
    const [h2, h3] = [fleet.host("h2"), fleet.host("h3")];
    for (const host of hosts) {
      const { pid } = await containerOf(host, "shop");
      host.lab.spawn(["nsenter", "-t", pid, "-n", bun, UDP_END, "serve", `${UDP_PORT}`]);
    }
    const { address } = await containerOf(h3, "shop");
    await server().endServer();
    const asking = askByUdp(h2);
    await h2.waitFor("every client is answered", () => asking.heard() === CLIENTS);
    await h3.cutPower();
    // Some are led to the dead machine first, and to others when they try again.
    const patient = ["busybox", "wget", "-q", "-O", "/dev/null"];
    const visits = Array.from({ length: CLIENTS }, () => {
      return h2.lab.run([...patient, "http://127.0.0.1:8080/"], { timeoutMs: 30_000 });
    });
    await h2.waitFor("the dead machine's task gets nothing", async () => {
      return !(await leadsTo(h2, address));
    });
    expect(await answers(h2, "http://127.0.0.1:8080/", 20)).not.toContain("nobody");
    await h2.waitFor("those whom it answered are answered again", () => {
      return asking.heard() === CLIENTS;
    });
    asking.end();
    expect((await Promise.all(visits)).map(({ code }) => code)).toEqual(visits.map(() => 0));
    await server().startServer();
  });

  test("leaves a machine that is removed as it was before", async () => {
    const h2 = fleet.host("h2");
    await h2.waitFor("h2 has the server back", () => {
      return h2.log.split("connected to the server").length === 3;
    });
    await server().must("node", "rm", "h2", "--force");
    await h2.waitFor("the node has left", () => h2.log.includes("the node has left the cluster"));
    expect(await stateOf(h2)).toEqual(before[1] ?? {});
  });
});

describe("the network of two machines", () => {
  const SECRET = "only-for-tasks";
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(everywhere(SECRET));
  });
  afterAll(async () => fleet.stop());

  /** What passed at the port of h2 while a task of h1 asked one of h2 and heard the secret. */
  async function overhear(): Promise<string> {
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    const [from, to] = [await containerOf(h1, SECRET), await containerOf(h2, SECRET)];
    const ask = () => askFrom(h1, from, `http://${to.address}:8080/`);
    await h1.waitFor("the task answers", async () => (await ask()) !== undefined);
    const file = join(h2.lab.dir, "overheard");
    const end = await fleet.switch.listen(h2.port, file);
    expect(await ask()).toInclude(SECRET);
    await h1.waitFor("it was written down", () => statSync(file).size > 1000);
    await end();
    return readFileSync(file, "latin1");
  }

  test("shows everything to who listens with vxlan", async () => {
    expect(await overhear()).toInclude(SECRET);
  });

  test("leads to a stack that shares a network, and not out of an internal one", async () => {
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    const page = h2.write("index.html", "outer");
    const words = ["busybox", "httpd", "-f", "-p", "9099", "-h", dirname(page)];
    const program = h2.lab.spawn(words);
    await h1.mustUp(SHARED);
    await h1.mustUp(GUESTS);
    const asks = async (service: string, url: string) => {
      const filters = ["label=orchd.stack=guests", `label=orchd.service=${service}`];
      const asked = filters.flatMap((filter) => ["--filter", filter]);
      const id = await h1.podman("ps", "--quiet", ...asked);
      const ask = ["podman", "exec", id, "timeout", "2", "wget", "-q", "-O", "-", url];
      return (await h1.lab.run(ask)).stdout.trim();
    };
    const entrance = "http://entrance:8080/";
    await h1.waitFor("the guest finds the entrance", async () => {
      return (await asks("guest", entrance)).startsWith("door");
    });
    expect(await asks("inside", entrance)).toBe("");
    const outside = `http://${h2.address}:9099/`;
    expect(await asks("guest", outside)).toBe("outer");
    expect(await asks("inside", outside)).toBe("");
    signalInside(program, "SIGKILL");
  });

  /** Has nodes reach each other in another way, by which packets for tasks leave by `device`. */
  async function switchTo(mode: string, device: string): Promise<void> {
    const h1 = fleet.host("h1");
    await h1.endServer("SIGTERM");
    await h1.startServer(["--network", mode]);
    for (const host of fleet.hosts) {
      await host.waitFor(`${mode} is there`, async () => {
        const routes = (await run(host, "ip", "route", "show", "proto", "210")).split("\n");
        const toOthers = routes.filter((route) => / dev (?:orchd-|eth0)/.test(route));
        return toOthers.length === 1 && toOthers[0]?.includes(device) === true;
      });
    }
  }

  test("shows nothing with wireguard, from the moment that the cluster is told so", async () => {
    const h2 = fleet.host("h2");
    await switchTo("wireguard", "dev orchd-wg");
    const heard = await overhear();
    expect(heard.length).toBeGreaterThan(1000);
    expect(heard).not.toInclude(SECRET);
    const key = await run(h2, "stat", "-c", "%a", "/var/lib/orchd/wireguard.key");
    expect(key).toBe("600");
  });

  test("shows everything with host-gw, which has no device but the machine's own", async () => {
    await switchTo("host-gw", "dev eth0");
    expect(await overhear()).toInclude(SECRET);
    for (const host of fleet.hosts) expect(await run(host, "ip", "link")).not.toInclude("orchd-");
  });
});
