import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HttpIngress, type IngressFacts } from "../../../src/agent/http-ingress.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { Authority, newAuthority } from "../../../src/pki/authority.ts";
import { keyInRequest } from "../../../src/pki/request.ts";
import { aMap, aMapService, aMapTask, anIngressRule } from "../../builders.ts";
import { aDeadPort, ProxyRig, SkipClock, until } from "../net/ingress/rig.ts";

const ca = await newAuthority();
const authority = new Authority(ca);

/** A map that a test changes. */
class Table {
  map: NetworkMap = aMap({ services: [] });
  readonly #listeners = new Set<() => void>();

  current(): NetworkMap {
    return this.map;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** One service on this port of this machine, over HTTP and HTTPS; or none. */
  set(port: number | undefined): void {
    const rule = anIngressRule({ host: "a.example", tls: "cluster", ...(port && { port }) });
    const services = port === undefined ? [] : [aMapService("web", { ingress: [rule] })];
    this.map = aMap({ services, tasks: [aMapTask("t", { address: "127.0.0.1" })] });
    for (const listener of this.#listeners) listener();
  }
}

let directory: string;
let rig: ProxyRig;
let table: Table;
let facts: IngressFacts[];
let lines: string[];
let ports: { http: number; https: number };
let ingress: HttpIngress;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "orchd-ingress-"));
  rig = new ProxyRig();
  table = new Table();
  facts = [];
  lines = [];
  ports = { http: await aDeadPort(), https: await aDeadPort() };
});
afterEach(async () => {
  await ingress.close();
  rig.close();
  rmSync(directory, { recursive: true });
});

function begin(over: Partial<{ http: number; https: number; log: boolean }> = {}): void {
  const note = (line: string) => void lines.push(line);
  ingress = new HttpIngress({
    choice: { ...ports, log: true, ...over },
    clock: new SkipClock(),
    random: seededRandom("agent"),
    log: { info: note, warn: note, error: note },
    table,
    certificatesPath: join(directory, "hosts.json"),
    certify: async ({ csr, hosts }) => {
      const key = await keyInRequest(csr);
      const certificates = hosts.map(async (host) => ({
        host,
        certificate: await authority.issueIngress(host, key, Date.now()),
      }));
      return { certificates: await Promise.all(certificates) };
    },
    onFacts: (news) => void facts.push(news),
  });
}

async function isTaken(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(true));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(false)));
  });
}

function get(scheme: "http" | "https"): Promise<string> {
  return fetch(`${scheme}://127.0.0.1:${ports[scheme]}/x?secret`, {
    headers: { host: "a.example", connection: "close" },
    tls: { ca: ca.certificate, serverName: "a.example" },
  }).then((response) => response.text());
}

describe("the ports of a node", () => {
  test("are taken while a service wants requests, and left afterwards", async () => {
    const task = await rig.http((_req, res) => void res.end("hello"));
    begin();
    await ingress.refresh();
    expect(await isTaken(ports.http)).toBe(false);
    table.set(task);
    await ingress.refresh();
    expect(await get("http")).toBe("hello");
    let answer = "";
    await until("there is a certificate", () => {
      void get("https").then(
        (text) => (answer = text),
        () => {},
      );
      return answer === "hello";
    });
    table.set(undefined);
    await ingress.refresh();
    expect([await isTaken(ports.http), await isTaken(ports.https)]).toEqual([false, false]);
    expect(facts).toEqual([]);
    const line = `127.0.0.1 "GET a.example/x" 200 5 `;
    expect(lines.filter((one) => one.startsWith(line)).length).toBeGreaterThan(1);
    expect(lines.join("\n")).not.toContain("secret");
  });

  test("leave no line of a request where nobody asked for that", async () => {
    table.set(await rig.http((_req, res) => void res.end("hello")));
    begin({ log: false });
    await ingress.refresh();
    expect(await get("http")).toBe("hello");
    expect(lines.filter((line) => line.includes("GET"))).toEqual([]);
  });

  test("are told of when another program has one, and taken when it leaves", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => void other.listen(ports.http, "0.0.0.0", resolve));
    begin();
    table.set(await rig.http((_req, res) => void res.end("hello")));
    await until("it is told", () => facts.length === 1);
    const problem = `HTTP: port ${ports.http} is in use by another program on this machine`;
    expect(facts).toEqual([{ ...ports, problems: [problem] }]);
    other.close();
    await until("it is over", () => facts.length === 2);
    expect(facts[1]?.problems).toEqual([]);
    expect(await get("http")).toBe("hello");
  });

  test("are left alone where people switched them off", async () => {
    begin({ http: 0, https: 0 });
    table.set(await rig.http((_req, res) => void res.end("hello")));
    await ingress.refresh();
    expect([await isTaken(ports.http), await isTaken(ports.https)]).toEqual([false, false]);
  });
});
