import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { SESSION_END } from "../../../src/model/session.ts";
import { backoffMs } from "../../../src/session/backoff.ts";
import type { Dial } from "../../../src/session/dial.ts";
import { Refusal } from "../../../src/session/refusal.ts";
import { ServerConnection } from "../../../src/session/server-connection.ts";
import { anAssignment, anId, aStatus } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { MemoryLink } from "./memory-link.ts";
import { facts, Rig, ScriptedAgent } from "./rig.ts";

const TLS = { ca: "ca", cert: "cert 1", key: "key", serverName: "server.orchd" };
const DOWN = new OrchdError("unreachable", "it refuses connections", { retryable: true });

/** An agent's connection in virtual time, to servers that answer as the test says. */
class AgentRig extends Rig {
  readonly agent = new ScriptedAgent();
  readonly dialled: string[] = [];
  readonly links: MemoryLink[] = [];
  readonly welcomes: string[] = [];
  readonly times: number[] = [];
  resumed = 0;
  renewed = 0;
  /** What each address answers; absent is down. */
  readonly answers = new Map<string, "up" | Error>([["192.0.2.1:6770", "up"]]);
  found: string[] | Promise<string[]> = [];
  searches = 0;
  readonly connection: ServerConnection;

  constructor(servers = ["192.0.2.1:6770"]) {
    super();
    this.connection = new ServerConnection({
      clock: this.clock,
      log: this.log(),
      random: this.random,
      servers,
      tls: () => ({ ...TLS, cert: `cert ${1 + this.renewed}` }),
      dial: (...args) => this.#dial(...args),
      findServers: async () => {
        this.searches += 1;
        return this.found;
      },
      renew: async () => void (this.renewed += 1),
      onWelcome: ({ serverId }) => this.welcomes.push(serverId),
      onTime: (serverTime) => this.times.push(serverTime),
    });
  }

  /** The agent begins, and some time passes. */
  async begin(ms = 1000): Promise<void> {
    const events = { onResume: () => (this.resumed += 1), onLost: () => {} };
    this.connection.hello(this.agent, facts(), events).catch(() => {});
    await this.pass(ms);
  }

  readonly #dial: Dial = async (address, { cert }) => {
    this.dialled.push(`${address} ${cert}`);
    const answer = this.answers.get(address) ?? DOWN;
    if (answer !== "up" && !(answer instanceof Refusal && cert !== "cert 1")) throw answer;
    const [agentLink, serverLink] = MemoryLink.pair();
    this.links.push(agentLink);
    this.sessions.accept(serverLink, anId("n1"));
    return agentLink;
  };
}

describe("an agent's connection", () => {
  test("hears what has changed without a new session", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.welcome = { ...rig.welcome, serverId: "s2" };
    rig.sessions.tellNews();
    await rig.pass(1000);
    expect(rig.welcomes).toEqual(["s1", "s2"]);
    expect([rig.resumed, rig.dialled.length]).toEqual([0, 1]);
  });

  test("brings the agent a session, and says so once", async () => {
    const rig = new AgentRig();
    rig.server.set = { generation: 3, assignments: [anAssignment("t")] };
    const taken = rig.connection.hello(rig.agent, facts());
    await rig.pass(100);
    await taken;
    expect([rig.welcomes, rig.agent.sets]).toEqual([["s1"], [rig.server.set]]);
    expect(rig.logged).toEqual(["connected to the server at 192.0.2.1:6770"]);
    expect(rig.connection.isConnected).toBe(true);
  });

  test("begins again by itself after the link broke, and the agent hears of it", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.links[0]?.terminate();
    await rig.pass(1000);
    expect([rig.welcomes.length, rig.resumed]).toEqual([2, 1]);
    expect(rig.server.heard.filter((what) => what === "hello n1").length).toBe(2);
  });

  test("notices a server that has gone silent, and looks for it again", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.links[0]?.cut();
    await rig.pass(21_000);
    expect(rig.welcomes.length).toBe(2);
  });

  test("notices sooner when the server does not take its statuses", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.links[0]?.cut();
    const lost = rig.connection.report(anId("n1"), [aStatus("t1")]).catch(() => "lost");
    await rig.pass(4100);
    expect([await lost, rig.connection.leads()]).toEqual(["lost", false]);
  });

  test("bears with a server that is slow to take statuses, but alive", async () => {
    const rig = new AgentRig();
    await rig.begin();
    const taken = Promise.withResolvers<void>();
    rig.server.report = () => taken.promise;
    const report = rig.connection.report(anId("n1"), [aStatus("t1")]);
    await rig.pass(60_000);
    expect(rig.welcomes.length).toBe(1);
    taken.resolve();
    await rig.pass(100);
    await report;
  });

  test("keeps statuses until there is a session, and rejects those under way", async () => {
    const rig = new AgentRig();
    rig.answers.clear();
    await rig.begin();
    const waiting = rig.connection.report(anId("n1"), [aStatus("t1")]);
    await rig.pass(5000);
    expect(rig.server.statuses).toEqual([]);
    rig.answers.set("192.0.2.1:6770", "up");
    await rig.pass(5000);
    await waiting;
    expect(rig.server.statuses.length).toBe(1);
    rig.links.at(-1)?.hold();
    const lost = rig.connection
      .report(anId("n1"), [aStatus("t2")])
      .catch((error: unknown) => error);
    rig.links.at(-1)?.terminate();
    await rig.pass(100);
    expect(await lost).toMatchObject({ code: "unreachable", retryable: true });
  });

  test("ends for good when the agent stops, and frees who waits", async () => {
    const rig = new AgentRig();
    rig.answers.clear();
    await rig.begin();
    const report = rig.connection.report(anId("n1"), [aStatus("t1")]).catch(() => "rejected");
    rig.connection.goodbye();
    const tries = rig.dialled.length;
    await rig.pass(60_000);
    expect([await report, rig.dialled.length]).toEqual(["rejected", tries]);
  });

  test("says goodbye to the server when the agent stops", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.connection.goodbye();
    await rig.pass(60_000);
    expect(rig.server.heard).toEqual(["hello n1", "goodbye n1"]);
    expect(rig.dialled.length).toBe(1);
  });

  test("asks the server's time every ten minutes", async () => {
    const rig = new AgentRig();
    await rig.begin();
    await rig.pass(1_300_000);
    expect(rig.times.length).toBe(2);
  });

  test("tells the server at once when the machine's address is another", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.connection.setFacts(facts());
    rig.connection.setFacts({ ...facts("moved") });
    await rig.pass(1000);
    expect(rig.server.heard.filter((what) => what.startsWith("hello"))).toEqual([
      "hello n1",
      "hello moved",
    ]);
  });
});

describe("an agent without a server in reach", () => {
  test("tries often at first, then at most every 15 s, and tells people once", async () => {
    const rig = new AgentRig();
    rig.answers.clear();
    await rig.begin(10_000);
    const early = rig.dialled.length;
    expect(early).toBeGreaterThan(5);
    expect(early).toBeLessThan(40);
    await rig.pass(3_600_000);
    expect(rig.dialled.length - early).toBeLessThan(150 + 3_600_000 / 5000);
    expect(rig.logged.length).toBe(1);
    expect(rig.logged[0]).toContain("192.0.2.1:6770: it refuses connections");
  });

  test("is back within 5 s of a short outage, wherever in its waiting that ends", async () => {
    for (const outageMs of [500, 2000, 7000, 20_000, 60_000, 200_000]) {
      const rig = new AgentRig();
      await rig.begin();
      rig.answers.clear();
      rig.links[0]?.terminate();
      await rig.pass(outageMs);
      rig.answers.set("192.0.2.1:6770", "up");
      await rig.pass(5000);
      expect([outageMs, rig.connection.isConnected]).toEqual([outageMs, true]);
    }
  });

  test("goes to another server that it knows, and stays with it", async () => {
    const rig = new AgentRig(["192.0.2.9:6770", "192.0.2.1:6770"]);
    await rig.begin();
    expect(rig.dialled.map((one) => one.split(" ")[0])).toEqual([
      "192.0.2.9:6770",
      "192.0.2.1:6770",
    ]);
    rig.links[0]?.terminate();
    await rig.pass(1000);
    expect(rig.dialled.at(-1)).toStartWith("192.0.2.1:6770");
    expect(rig.dialled.length).toBe(3);
  });

  test("looks for servers on the network when all addresses have changed", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.answers.clear();
    rig.answers.set("198.51.100.7:6770", "up");
    rig.found = ["198.51.100.7:6770"];
    rig.links[0]?.terminate();
    await rig.pass(5000);
    expect([rig.searches, rig.connection.isConnected]).toEqual([1, true]);
    expect(rig.logged.at(-1)).toBe("connected to the server at 198.51.100.7:6770");
  });

  test("goes on trying the known address while it looks for others", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.answers.clear();
    rig.found = new Promise(() => {});
    rig.links[0]?.terminate();
    await rig.pass(5000);
    expect(rig.searches).toBe(1);
    rig.answers.set("192.0.2.1:6770", "up");
    await rig.pass(5000);
    expect(rig.connection.isConnected).toBe(true);
  });

  test("looks at once without an address, and tries at once when it is told one", async () => {
    const rig = new AgentRig([]);
    await rig.begin(100_000);
    expect(rig.searches).toBeGreaterThan(1);
    expect(rig.logged[0]).toContain("no address of a server is known");
    rig.connection.setServers(["192.0.2.1:6770"]);
    await settled();
    await rig.pass(1);
    expect(rig.connection.isConnected).toBe(true);
  });
});

describe("an agent that the server refuses", () => {
  test("gets a new certificate when its own ran out, and connects with it", async () => {
    const rig = new AgentRig();
    rig.answers.set("192.0.2.1:6770", new Refusal("certificateExpired", "it ran out"));
    await rig.begin(100);
    expect(rig.dialled).toEqual(["192.0.2.1:6770 cert 1", "192.0.2.1:6770 cert 2"]);
    expect(rig.connection.isConnected).toBe(true);
  });

  test("asks every five minutes when its node was removed, and says so once", async () => {
    const rig = new AgentRig();
    rig.answers.set("192.0.2.1:6770", new Refusal("removed", "the node was removed"));
    await rig.begin(3_600_000);
    expect(rig.dialled.length).toBe(12 + 1);
    expect(rig.logged.length).toBe(1);
    expect(rig.logged[0]).toContain("this node was removed from the cluster");
  });

  test("asks every five minutes as well when it is removed during its session", async () => {
    const rig = new AgentRig();
    await rig.begin();
    rig.remote().close(SESSION_END.removed, "the node was removed");
    rig.answers.set("192.0.2.1:6770", new Refusal("removed", "the node was removed"));
    await rig.pass(299_000);
    expect(rig.dialled.length).toBe(1);
    await rig.pass(2000);
    expect(rig.dialled.length).toBe(2);
  });

  test("as a copy of a machine waits for half a minute", async () => {
    const rig = new AgentRig();
    rig.connect({ instance: "the real one" });
    await rig.begin(25_000);
    expect([rig.dialled.length, rig.connection.isConnected]).toEqual([1, false]);
    expect(rig.logged.join("\n")).toContain("another machine with the same key is connected");
    await rig.pass(10_000);
    expect(rig.dialled.length).toBe(2);
  });

  test("does not hammer a server that takes each session and ends it", async () => {
    const rig = new AgentRig();
    rig.server.failure = new OrchdError("noSpace", "the disk is full");
    await rig.begin(60_000);
    expect(rig.dialled.length).toBeLessThan(60);
    expect(rig.dialled.length).toBeGreaterThan(10);
  });
});

describe("500 agents whose server restarts", () => {
  test("wait between 100 and 500 ms at first, and come back evenly after that", () => {
    const random = seededRandom("storm");
    const first = Array.from({ length: 500 }, () => backoffMs(1, random));
    expect([Math.min(...first) >= 100, Math.max(...first) <= 500]).toEqual([true, true]);
    const later = Array.from({ length: 500 }, () => backoffMs(10, random));
    const perSecond = [0, 1, 2, 3].map((s) => later.filter((ms) => Math.floor(ms / 1000) === s));
    expect(perSecond.reduce((sum, { length }) => sum + length, 0)).toBe(500);
    expect(Math.max(...perSecond.map(({ length }) => length))).toBeLessThan(170);
    const patient = Array.from({ length: 500 }, () => backoffMs(1000, random));
    expect(Math.max(...patient)).toBeGreaterThan(14_000);
    expect(Math.max(...patient)).toBeLessThanOrEqual(15_000);
  });
});
