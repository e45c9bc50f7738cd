import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { NameServer } from "../../src/agent/name-server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { NetworkMap } from "../../src/model/network-map.ts";
import { ResolvConfFile } from "../../src/net/dns/resolv-conf.ts";
import { aMap, aMapService, aMapTask, anId, aPort } from "../builders.ts";
import { skipSuite } from "./skip-suite.ts";

const SUITE = "the name server as dig sees it";

function hasDig(): boolean {
  if (Bun.which("dig") !== null) return true;
  const reason = "dig is not installed (apt install bind9-dnsutils)";
  return skipSuite(SUITE, reason);
}

/** `web` has a virtual address and a port; `many` has no virtual address and 200 tasks. */
function aBusyMap(): NetworkMap {
  const ports = [aPort({ name: "http", target: 80, published: 8080 })];
  const web = aMapService("web", { virtualIp: "10.210.240.1", ports });
  const many = aMapService("many");
  const tasks = Array.from({ length: 200 }, (_, i) =>
    aMapTask(`m${i}`, { serviceId: many.id, slot: `${i + 1}`, address: `10.210.1.${i + 2}` }),
  );
  return aMap({ services: [web, many], tasks });
}

describe(SUITE, () => {
  if (!hasDig()) return;
  let server: NameServer;

  beforeAll(async () => {
    const map = aBusyMap();
    const now = () => performance.now();
    server = new NameServer({
      bridge: { name: "lo", address: "127.0.0.1", prefix: 8 },
      source: { nodeId: anId("n1"), current: () => map, subscribe: () => () => {} },
      serversOf: () => [],
      clock: systemClock,
      now,
      random: seededRandom("dig"),
      log: silentLog,
      port: 0,
      // No name server outside: nothing leaves this machine.
      resolvConf: new ResolvConfFile(now, join(import.meta.dir, "no-such-file")),
    });
    await server.start();
  });
  afterAll(() => server.close());

  /** What dig prints, without its remarks on time and place. */
  const dig = async (...words: string[]): Promise<string> => {
    const where = ["@127.0.0.1", "-p", String(server.port), "+tries=1", "+time=5"];
    const child = spawn("dig", [...where, ...words], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await new Promise((resolve) => child.on("close", resolve));
    return text.trim();
  };
  const status = async (...words: string[]) =>
    /status: (\w+)/.exec(await dig(...words, "+noall", "+comments"))?.[1];

  test("a service, by any of its names", async () => {
    for (const name of ["web", "WEB.Shop", "web.shop.orchd.internal"]) {
      expect(await dig(name, "+short")).toBe("10.210.240.1");
    }
  });

  test("there is no IPv6 address, which is not that there is no such name", async () => {
    expect(await status("web", "AAAA")).toBe("NOERROR");
    expect(await dig("web", "AAAA", "+short")).toBe("");
    expect(await status("nothing")).toBe("NXDOMAIN");
  });

  test("ports, and names of addresses", async () => {
    expect(await dig("_http._tcp.web", "SRV", "+short")).toBe("0 0 80 web.shop.orchd.internal.");
    expect(await dig("-x", "10.210.1.2", "+short")).toBe("1.many.shop.orchd.internal.");
  });

  test("what has no room in a datagram is asked for again over TCP, and complete", async () => {
    const lines = (await dig("many", "+short")).split("\n");
    expect(lines.filter((line) => line.startsWith("10.210.1."))).toHaveLength(200);
    const part = await dig("many", "+ignore", "+bufsize=600", "+noall", "+comments", "+answer");
    expect(part).toContain(" tc ");
  });

  test("what is foreign fails at once where there is nobody to ask", async () => {
    expect(await status("example.com")).toBe("SERVFAIL");
  });

  test("other classes, transfers and EDNS of later are refused in the right words", async () => {
    expect(await status("version.bind", "CH", "TXT")).toBe("REFUSED");
    expect(await dig("AXFR", "shop")).toContain("Transfer failed");
    expect(await status("web", "+edns=1", "+noednsnegotiation")).toBe("BADVERS");
    expect(await status("web", "+opcode=notify")).toBe("NOTIMP");
    expect(await status("web", "+noedns")).toBe("NOERROR");
    expect(await status("web", "+cookie", "+nsid", "+subnet=192.0.2.0/24")).toBe("NOERROR");
  });
});
