import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../../src/lib/log.ts";
import { put, remove } from "../../../src/model/change.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { Authority, newAuthority } from "../../../src/pki/authority.ts";
import { Server } from "../../../src/server/server.ts";
import type { ServerOptions } from "../../../src/server/server-options.ts";
import { serverCertificate } from "../../../src/server/server-certificate.ts";
import { ensureCluster, firstToken, type NetworkWish } from "../../../src/server/first-start.ts";
import { aNode } from "../../builders.ts";
import { DAY_MS } from "../../pki.ts";
import { MemoryStore } from "../api/fixture.ts";
import { SetClock } from "./port-rig.ts";

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "orchd-first-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

describe("the first start of a server", () => {
  test("makes the cluster and a join token for a day; a second one makes nothing", async () => {
    const store = new MemoryStore();
    const clock = new SetClock();
    const start = async () => {
      await ensureCluster(store, clock);
      return firstToken(store, clock, systemRandom);
    };
    expect(await start()).toStartWith("ORCHD-1-");
    const { cluster, tokens } = store.view();
    expect([...tokens.values()]).toMatchObject([
      { kind: "join", uses: 0, createdAt: clock.time, expiresAt: clock.time + DAY_MS },
    ]);
    expect(Buffer.from(cluster?.gossipKeys[0] ?? "", "base64")).toHaveLength(32);
    expect(await start()).toBeUndefined();
    expect(tokens.size).toBe(1);
  });

  test("that broke off before the token was made is made up for by the next", async () => {
    const store = new MemoryStore();
    await ensureCluster(store, new SetClock());
    await store.commit([put.node(aNode())]);
    await ensureCluster(store, new SetClock());
    expect(await firstToken(store, new SetClock(), systemRandom)).toStartWith("ORCHD-1-");
    const [token] = store.view().tokens.values();
    if (token !== undefined) await store.commit([remove.token(token)]);
    expect(await firstToken(store, new SetClock(), systemRandom)).toBeUndefined();
    expect(store.view().tokens.size).toBe(0);
  });

  test("gives the cluster a range, which stays, and a way between nodes", async () => {
    const store = new MemoryStore();
    const start = (wish: NetworkWish) =>
      ensureCluster(store, new SetClock(), wish).then(
        () => [store.view().cluster?.range, store.view().cluster?.networkMode],
        (error: unknown) => String(error),
      );
    expect(await start({ range: "10.210.0.0/30" })).toContain("--cluster-range must be an IPv4");
    expect(await start({ range: "172.30.0.0/16" })).toEqual(["172.30.0.0/16", "vxlan"]);
    expect(await start({})).toEqual(["172.30.0.0/16", "vxlan"]);
    expect(await start({ mode: "wireguard" })).toEqual(["172.30.0.0/16", "wireguard"]);
    expect(await start({ range: "172.30.0.0/16" })).toEqual(["172.30.0.0/16", "wireguard"]);
    expect(await start({ range: "10.210.0.0/16" })).toContain("is 172.30.0.0/16 since it was made");
  });

  test("gives the cluster IPv6 addresses of its own where that is wished, or never", async () => {
    const start = (store: MemoryStore, wish: NetworkWish) =>
      ensureCluster(store, new SetClock(), wish).then(
        () => store.view().cluster?.range6,
        (error: unknown) => String(error),
      );
    const store = new MemoryStore();
    expect(await start(store, { ipv6: true, mode: "host-gw" })).toContain("needs a tunnel");
    const range6 = await start(store, { ipv6: true });
    expect(range6).toMatch(/^fd[0-9a-f:]+::\/96$/);
    expect(await start(store, {})).toBe(range6);
    expect(await start(store, { ipv6: true, mode: "wireguard" })).toBe(range6);
    expect(await start(store, { mode: "host-gw" })).toContain("needs a tunnel");
    const other = new MemoryStore();
    expect(await start(other, {})).toBeUndefined();
    expect(await start(other, { ipv6: true })).toContain("IPv4 addresses alone since it was made");
    expect(await start(other, { ipv6: false, mode: "host-gw" })).toBeUndefined();
  });

  test("makes a cluster unlike any other", async () => {
    const stores = [new MemoryStore(), new MemoryStore()];
    for (const store of stores) await ensureCluster(store, new SetClock());
    const secrets = stores.flatMap((store) => {
      const { caKey = "", caCertificate = "", gossipKeys = [] } = store.view().cluster ?? {};
      return [caKey, caCertificate, ...gossipKeys];
    });
    expect(new Set(secrets).size).toBe(6);
  });
});

describe("a server", () => {
  const anyPort = { host: "127.0.0.1", port: 0, gossipPort: 0 };

  function options(over: Partial<ServerOptions> = {}): ServerOptions {
    return {
      dataDir: join(directory, "data"),
      runDir: join(directory, "run"),
      runtime: "fake",
      agent: false,
      version: { version: "1.2.3", commit: "abc", api: "v1" },
      log: silentLog,
      ...over,
    };
  }

  test("tells its first token once, and has its CA still after a restart", async () => {
    const first = await Server.open(options({ advertise: "192.0.2.7" }));
    await first.openPort(anyPort);
    const token = first.takeFirstToken();
    expect(token).toStartWith("ORCHD-1-");
    expect(first.takeFirstToken()).toBeUndefined();
    expect(first.addresses()).toEqual([expect.stringMatching(/^192\.0\.2\.7:\d+$/)]);
    await first.stop();
    const certificate = fs.readFileSync(join(directory, "data", "server.pem"), "utf8");
    const second = await Server.open(options());
    await second.openPort(anyPort);
    expect(second.takeFirstToken()).toBeUndefined();
    await second.stop();
    expect(fs.readFileSync(join(directory, "data", "server.pem"), "utf8")).toBe(certificate);
  });

  test("that is not to listen can't be reached from elsewhere", async () => {
    const server = await Server.open(options());
    expect(server.addresses()).toEqual([]);
    expect(fs.readdirSync(join(directory, "run"))).toEqual(["orchd.sock"]);
    await server.stop();
  });

  test("says so when its port is taken", async () => {
    const holder = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    const server = await Server.open(options());
    const taken = { ...anyPort, port: holder.port };
    const error = await server.openPort(taken).catch((thrown: unknown) => thrown);
    holder.stop(true);
    expect(server.takeFirstToken()).toBeUndefined();
    expect(error).toMatchObject({
      code: "conflict",
      message:
        `something else listens on 127.0.0.1:${taken.port}: ` +
        "stop it, or name another with --listen",
    });
    // The next try makes up for what this one could not tell.
    await server.openPort(anyPort);
    expect(server.takeFirstToken()).toStartWith("ORCHD-1-");
    await server.stop();
  });

  test("keeps every file that holds a secret to root", async () => {
    const server = await Server.open(options());
    await server.openPort(anyPort);
    const modes = ["data", "run"].flatMap((name) =>
      fs
        .readdirSync(join(directory, name))
        .map((file) => fs.statSync(join(directory, name, file)).mode & 0o077),
    );
    expect(modes.length).toBeGreaterThan(4);
    expect(new Set(modes)).toEqual(new Set([0]));
    await server.stop();
  });
});

describe("a server's certificate", () => {
  test("is made anew when it is missing, damaged, of another CA or of another key", async () => {
    const [ours, other] = [
      new Authority(await newAuthority()),
      new Authority(await newAuthority()),
    ];
    const path = join(directory, "server.pem");
    const made = await serverCertificate(path, ours);
    expect(await serverCertificate(path, ours)).toEqual(made);
    expect(fs.statSync(path).mode & 0o777).toBe(0o600);
    const foreign = await other.issueServer();
    const bad = [
      "",
      "nonsense",
      (made.key + made.certificate).slice(0, 300),
      foreign.key + foreign.certificate,
      foreign.key + made.certificate,
    ];
    for (const text of bad) {
      fs.writeFileSync(path, text);
      const { key, certificate } = await serverCertificate(path, ours);
      const read = new X509Certificate(certificate);
      expect(certificate).not.toBe(made.certificate);
      expect(read.verify(ours.certificate.publicKey)).toBe(true);
      expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
    }
  });
});
