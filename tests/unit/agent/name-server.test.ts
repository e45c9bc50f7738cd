import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NameServer, type NameServerOptions } from "../../../src/agent/name-server.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { ResolvConfFile } from "../../../src/net/dns/resolv-conf.ts";
import { aMap, aMapNode, aMapService, aMapTask, anId } from "../../builders.ts";
import { until } from "../../conformance/runtime-until.ts";
import { FakeUpstream } from "../net/dns/fake-upstream.ts";
import { anAnswerTo, answered, aQuestion } from "../net/dns/packets.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** A map whose cluster is loopback's network, so that tasks can ask from their addresses. */
function aLoopbackMap(over: Partial<NetworkMap> = {}): NetworkMap {
  return aMap({ nodes: [aMapNode("n1", { subnet: "10.210.1.0/24" })], ...over });
}

/** Where the map is that a name server goes by, and how it becomes another one. */
class Source {
  readonly nodeId = anId<"node">("n1");
  #map: NetworkMap;
  #listener = () => {};

  constructor(map: NetworkMap) {
    this.#map = map;
  }

  current = () => this.#map;

  subscribe(listener: () => void): () => void {
    this.#listener = listener;
    return () => (this.#listener = () => {});
  }

  set(map: NetworkMap): void {
    this.#map = map;
    this.#listener();
  }
}

function aFolder(resolvConf: string): string {
  const folder = mkdtempSync(join(tmpdir(), "orchd-names-"));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "resolv.conf"), resolvConf);
  return folder;
}

async function start(
  source: Source,
  over: Partial<NameServerOptions> = {},
  resolvConf = "search lan\n",
) {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const now = over.now ?? (() => performance.now());
  const server = new NameServer({
    bridge: { name: "lo", address: "127.0.0.1", prefix: 8 },
    source,
    serversOf: () => [],
    clock: systemClock,
    now,
    random: seededRandom("names"),
    log: { info: note, warn: note, error: note },
    port: 0,
    resolvConf: new ResolvConfFile(now, join(aFolder(resolvConf), "resolv.conf")),
    ...over,
  });
  cleanups.push(() => server.close());
  await server.start();
  return { server, lines };
}

/** Asks from loopback, as people on the node do. */
async function ask(port: number | undefined, name: string): Promise<string> {
  const received: Buffer[] = [];
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: port ?? 0 },
    socket: { data: (_socket, packet) => void received.push(Buffer.from(packet)), error() {} },
  });
  socket.send(aQuestion(name));
  const answer = await until(`an answer for ${name}`, () => received[0]);
  socket.close();
  return answered(answer);
}

const WEB = aMapService("web");
const ready = (name: string, address: string) => aMapTask(name, { address });

describe("a node's name server", () => {
  test("answers by the newest map", async () => {
    const source = new Source(aLoopbackMap({ tasks: [ready("t1", "10.210.1.2")] }));
    let now = 0;
    const { server } = await start(source, { now: () => now });
    expect(await ask(server.port, "web")).toBe("10.210.1.2");
    source.set(aLoopbackMap({ tasks: [ready("t1", "10.210.1.3")] }));
    now += 1000;
    expect(await ask(server.port, "web")).toBe("10.210.1.3");
    source.set(aLoopbackMap({ services: [] }));
    now += 1000;
    expect(await ask(server.port, "web")).toBe("NXDOMAIN");
  });

  test("tells containers to ask it, and to try its zone before the machine's", async () => {
    const { server } = await start(new Source(aLoopbackMap()));
    const search = ["orchd.internal", "lan"];
    expect(server.resolver()).toEqual({ server: "127.0.0.1", search });
  });

  test("says what is in the way, once, and begins when it no longer is", async () => {
    const holder = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0, socket: {} });
    const { port } = holder;
    const wait = {
      ...systemClock,
      after: (_: number, run: () => void) => systemClock.after(5, run),
    };
    const { server, lines } = await start(new Source(aLoopbackMap()), { port, clock: wait });
    await until("several tries", () => server.port === undefined && lines.length > 0);
    expect(lines).toEqual([expect.stringContaining("another program has port")]);
    holder.close();
    await until("it answers", () => server.port);
    expect(lines).toHaveLength(2);
    expect(await ask(server.port, "nothing")).toBe("NXDOMAIN");
  });

  test("never asks itself, though the machine's file says so", async () => {
    const { server } = await start(new Source(aLoopbackMap()), {}, "nameserver 127.0.0.1\n");
    expect(await ask(server.port, "example.com")).toBe("SERVFAIL");
  });

  test("asks a task's own name servers for it", async () => {
    const upstream = await FakeUpstream.start((question) => [
      anAnswerTo(question, {
        answers: [{ type: "A", name: "example.com", ttl: 9, data: "192.0.2.1" }],
      }),
    ]);
    cleanups.push(() => upstream.close());
    const own = aMapTask("t1", { address: "10.210.1.7" });
    const source = new Source(aLoopbackMap({ services: [WEB], tasks: [own] }));
    const { server } = await start(source, {
      serversOf: (taskId) => (taskId === own.id ? [upstream.host] : []),
      upstreamPort: upstream.port,
    });
    const answer = await server.respond(aQuestion("example.com"), "10.210.1.7");
    expect(answered(answer)).toBe("192.0.2.1");
    expect(answered(await server.respond(aQuestion("example.com"), "127.0.0.1"))).toBe("SERVFAIL");
  });

  test("knows a task that has just come, however fast maps change", async () => {
    const source = new Source(aLoopbackMap({ services: [WEB] }));
    const { server } = await start(source, { now: () => 0 });
    const askFrom = async (address: string) =>
      answered(await server.respond(aQuestion("tasks.web"), address));
    expect(await askFrom("10.210.1.7")).toBe("SERVFAIL");
    source.set(aLoopbackMap({ services: [WEB], tasks: [ready("t1", "10.210.1.7")] }));
    expect(await askFrom("10.210.1.7")).toBe("10.210.1.7");
  });
});
