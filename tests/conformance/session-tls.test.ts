import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import type { LogLine } from "../../src/model/session.ts";
import { anAssignment, anId, aStatus } from "../builders.ts";
import { TestAuthority } from "./session-certificates.ts";
import { until as untilSo } from "./runtime-until.ts";
import { fastClock, tlsAgent, TlsServer, Wire } from "./session-tls-rig.ts";
import type { TlsOptions } from "../../src/session/dial.ts";

const task = anId<"task">("t");
const n1 = anId<"node">("n1");
const MEBIBYTE = 1024 * 1024;

let authority: TestAuthority;
let own: TlsOptions;
const cleanups: (() => unknown)[] = [];

function until(isSo: () => boolean): Promise<boolean> {
  return untilSo(isSo.toString(), isSo, 20_000);
}

beforeAll(async () => {
  authority = await TestAuthority.make();
  own = await authority.forNode("n1");
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function aServer(options: { clock?: typeof systemClock; port?: number } = {}) {
  const server = await TlsServer.start(authority, { clock: systemClock, ...options });
  cleanups.push(() => server.kill());
  return server;
}

function anAgent(port: number, over: Partial<Parameters<typeof tlsAgent>[0]> = {}) {
  const made = tlsAgent({ port, clock: systemClock, tls: () => own, ...over });
  cleanups.push(() => made.connection.close());
  return made;
}

/** A server and an agent that has its session with it. */
async function aSession() {
  const server = await aServer();
  const made = anAgent(server.port);
  await until(() => made.connection.isConnected);
  await until(() => server.sessions.session(n1) !== undefined);
  const remote = server.sessions.session(n1);
  if (remote === undefined) throw new Error("the session is gone");
  return { server, remote, ...made };
}

function* lines(count: number, text: string, printed: { count: number }): Generator<LogLine> {
  for (; printed.count < count; printed.count++) yield { at: 1, stream: "stdout", text };
}

describe("a session over mutual TLS", () => {
  test("carries sets down, statuses up, probes, and calls", async () => {
    const { server, remote, agent, connection } = await aSession();
    remote.assign({ generation: 2, assignments: [anAssignment("t")] });
    await until(() => agent.sets.at(-1)?.generation === 2);
    await connection.report(n1, [aStatus("t")]);
    expect(server.server.heard).toEqual(["hello n1", "n1 says t running"]);
    expect(await server.sessions.probe(n1, 5000)).toBe(true);
    expect(await remote.images()).toEqual(await agent.images());
  });

  test("carries a set of 8 MB and goes on in the meantime", async () => {
    const { remote, agent } = await aSession();
    const environment = { text: "x".repeat(30_000) };
    const container = { ...anAssignment("t").container, environment };
    const names = Array.from({ length: 270 }, (_, i) => `t${100 + i}`);
    const assignments = names.map((name) => anAssignment(name, { container }));
    remote.assign({ generation: 2, assignments });
    expect((await remote.images()).length).toBe(1);
    await until(() => agent.sets.at(-1)?.generation === 2);
    expect(agent.sets.at(-1)?.assignments).toEqual(assignments);
  });

  test("ends on the server when the agent stops", async () => {
    const { server, connection } = await aSession();
    connection.goodbye();
    await until(() => server.server.heard.at(-1) === "goodbye n1");
  });

  test("is not had with a server of another authority", async () => {
    const foreign = await TestAuthority.make();
    const server = await TlsServer.start(foreign, { clock: systemClock });
    cleanups.push(() => server.kill());
    const { connection, logged } = anAgent(server.port);
    await until(() => logged.length > 0);
    expect(connection.isConnected).toBe(false);
    expect(logged[0]).toContain("no server can be reached");
    expect(server.server.heard).toEqual([]);
  });
});

describe("what nobody reads", () => {
  test("of 200 MB of log lines waits on the node, and memory stays as it was", async () => {
    const { remote, agent } = await aSession();
    const text = "x".repeat(10_000);
    const total = 20_000;
    const printed = { count: 0 };
    agent.logLines = async function* () {
      yield* lines(total, text, printed);
    };
    const reading = remote.logs(task, { follow: false }, new AbortController().signal);
    await reading.next();
    const before = process.memoryUsage().rss;
    // Calls come through all the while, each a round trip in which lines could have crept in.
    for (let i = 0; i < 200; i++) await remote.images();
    expect(printed.count * text.length).toBeLessThan(4 * MEBIBYTE);
    expect(process.memoryUsage().rss - before).toBeLessThan(16 * MEBIBYTE);
    let read = 1;
    while (read < 5000 && (await reading.next()).done !== true) read += 1;
    expect(read).toBe(5000);
    expect((printed.count - read) * text.length).toBeLessThan(4 * MEBIBYTE);
    await reading.return(undefined);
  });

  test("of a 200 MB archive waits where it comes from", async () => {
    const { remote, agent } = await aSession();
    const release = Promise.withResolvers<void>();
    let taken = 0;
    agent.load = async (archive) => {
      await release.promise;
      for await (const chunk of archive) taken += chunk.length;
      return 7;
    };
    let read = 0;
    const total = 200 * MEBIBYTE;
    const archive = new ReadableStream<Uint8Array>({
      pull(sink) {
        if (read >= total) return sink.close();
        read += MEBIBYTE;
        sink.enqueue(new Uint8Array(MEBIBYTE));
      },
    });
    const loading = remote.volumes.write("data", archive, { stop: false, mount: undefined });
    for (let i = 0; i < 100; i++) await remote.images();
    expect(read).toBeLessThan(4 * MEBIBYTE);
    release.resolve();
    expect((await loading).entries).toBe(7);
    expect([read, taken]).toEqual([total, total]);
  });
});

describe("a server that was killed", () => {
  test("has its agents back when it is there again, on the same port", async () => {
    const server = await aServer();
    const { connection, agent } = anAgent(server.port);
    await until(() => connection.isConnected);
    await server.kill();
    await until(() => !connection.isConnected);
    const report = connection.report(n1, [aStatus("t")]);
    const again = await aServer({ port: server.port });
    await report;
    expect(again.server.heard).toEqual(["hello n1", "n1 says t running"]);
    expect(agent.sets.length).toBe(2);
  });

  test("and stays away is given up by its calls at once", async () => {
    const { server, remote, agent } = await aSession();
    agent.logLines = async function* () {
      yield* lines(1, "x", { count: 0 });
      await new Promise(() => {});
    };
    const reading = remote.logs(task, { follow: true }, new AbortController().signal);
    await reading.next();
    const next = reading.next().catch((error: unknown) => error);
    await server.kill();
    expect(await next).toMatchObject({ code: "unreachable", retryable: true });
  });
});

describe("a wire that is cut without a word", () => {
  test("is noticed by both ends, and the agent comes back on a new one", async () => {
    const clock = fastClock(20);
    const server = await aServer({ clock });
    const wire = await Wire.start(server.port);
    cleanups.push(() => wire.stop());
    const { connection } = anAgent(wire.port, { clock });
    await until(() => server.server.heard.length === 1);
    wire.cut();
    await until(() => server.server.heard.filter((what) => what === "hello n1").length === 2);
    await until(() => connection.isConnected);
    expect(await server.sessions.probe(n1, 100_000)).toBe(true);
  });
});

describe("an agent that is refused", () => {
  test("learns that its certificate ran out, and comes back with a new one", async () => {
    const server = await aServer();
    server.refused.set(n1, "certificateExpired");
    let renewed = 0;
    const { connection } = anAgent(server.port, {
      renew: async () => {
        renewed += 1;
        server.refused.delete(n1);
      },
    });
    await until(() => connection.isConnected);
    expect(renewed).toBe(1);
  });

  test("learns that its node was removed, and says so once", async () => {
    const server = await aServer();
    server.refused.set(n1, "removed");
    const { connection, logged } = anAgent(server.port, { clock: fastClock(1000) });
    await until(() => logged.length > 0);
    expect(logged[0]).toContain("this node was removed from the cluster");
    server.refused.delete(n1);
    await until(() => connection.isConnected);
    expect(logged.length).toBe(2);
  });
});

describe("a frame that is larger than any of ours", () => {
  test("ends the connection that it came on, and no other", async () => {
    const { server, remote, agent } = await aSession();
    const tls = await authority.forNode("m1");
    const socket = new WebSocket(`wss://127.0.0.1:${server.port}/v1/session`, { tls });
    const closed = Promise.withResolvers<number>();
    socket.addEventListener("close", ({ code }) => closed.resolve(code));
    socket.addEventListener("error", () => {});
    socket.addEventListener("open", () => socket.send("x".repeat(20 * MEBIBYTE)));
    expect(await closed.promise).not.toBe(1000);
    expect(await remote.images()).toEqual(await agent.images());
  });
});

describe("500 agents", () => {
  test("hold their sessions at once and come back after a restart", async () => {
    const certificates = await Promise.all(
      Array.from({ length: 500 }, (_, i) => authority.forNode(`m${i}`)),
    );
    const server = await aServer();
    const agents = certificates.map((tls, i) =>
      anAgent(server.port, { tls: () => tls, seed: `agent ${i}` }),
    );
    await until(() => server.server.sessions.size === 500);
    for (const [nodeId, session] of server.server.sessions) {
      session.assign({ generation: 2, assignments: [anAssignment(nodeId)] });
    }
    await until(() => agents.every(({ agent }) => agent.sets.at(-1)?.generation === 2));
    const told = new Set(agents.map(({ agent }) => agent.sets.at(-1)?.assignments[0]?.taskId));
    expect(told.size).toBe(500);
    await server.kill();
    await until(() => agents.every(({ connection }) => !connection.isConnected));
    const again = await aServer({ port: server.port });
    await until(() => again.server.sessions.size === 500);
  });
});
