import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { SESSION_END } from "../../../src/model/session.ts";
import { anAssignment, anId, aStatus } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { MemoryLink } from "./memory-link.ts";
import { facts, Rig, WELCOME } from "./rig.ts";

describe("a session", () => {
  test("begins with hello, the server's welcome and the node's set", async () => {
    const rig = new Rig();
    rig.server.set = { generation: 7, assignments: [anAssignment("t")] };
    const { agent, welcomes } = await rig.joined();
    expect(rig.server.heard).toEqual(["hello n1"]);
    expect(welcomes).toEqual([WELCOME]);
    expect(agent.sets).toEqual([rig.server.set]);
  });

  test("tells what has changed of the welcome, and goes on", async () => {
    const rig = new Rig();
    const { news, welcomes, agent, end } = await rig.joined();
    const silent = rig.connect({ node: "n2" });
    const gossipKeys = ["bmV3", "a2V5"];
    rig.welcome = { ...WELCOME, gossipKeys };
    rig.sessions.tellNews();
    await settled();
    expect(news).toEqual([{ ...WELCOME, gossipKeys }]);
    expect([welcomes.length, agent.sets.length]).toEqual([1, 1]);
    expect(await end.serverTime()).toBe(rig.clock.now());
    // Who was just about to begin hears it once.
    expect([...silent.welcomes, ...silent.news]).toEqual([rig.welcome]);
  });

  test("brings statuses to the server, and tells the agent when they are on disk", async () => {
    const rig = new Rig();
    const { end } = await rig.joined();
    await end.report([aStatus("t1"), aStatus("t2", { state: "failed" })]);
    expect(rig.server.heard.slice(1)).toEqual(["n1 says t1 running", "n1 says t2 failed"]);
  });

  test("says so when the server can't take statuses", async () => {
    const rig = new Rig();
    const { end } = await rig.joined();
    rig.server.failure = new OrchdError("noSpace", "the disk is full");
    const told = await end.report([aStatus("t1")]).catch((error: unknown) => error);
    expect(told).toMatchObject({ retryable: true, message: "the disk is full" });
  });

  test("sends many statuses in frames of bounded size, and all of them", async () => {
    const rig = new Rig();
    const { end, agentLink } = await rig.joined();
    const message = "m".repeat(4000);
    const many = Array.from({ length: 200 }, (_, i) => aStatus(`t${i}`, { message }));
    await end.report(many);
    expect(rig.server.statuses).toEqual(many);
    expect(Math.max(...agentLink.sent.map((frame) => frame.length))).toBeLessThan(70_000);
  });

  test("rejects what was not taken when it breaks", async () => {
    const rig = new Rig();
    const { end, agentLink } = await rig.joined();
    agentLink.hold();
    const report = end.report([aStatus("t1")]).catch((error: unknown) => error);
    agentLink.terminate();
    expect(await report).toMatchObject({ code: "unreachable", retryable: true });
    await settled();
    expect(rig.server.heard).toEqual(["hello n1", "goodbye n1"]);
  });

  test("tells the server's time when asked", async () => {
    const rig = new Rig();
    const { end } = await rig.joined();
    expect(await end.serverTime()).toBe(rig.clock.now());
  });

  test("ends with a reason that the agent hears", async () => {
    const rig = new Rig();
    const { ends, remote } = await rig.joined();
    remote.close(SESSION_END.removed, "the node was removed");
    await settled();
    expect(ends).toEqual(["4403 the node was removed"]);
    expect(rig.server.heard.at(-1)).toBe("goodbye n1");
  });

  test("is ended when the server can't take the agent in now", async () => {
    const rig = new Rig();
    rig.server.failure = new OrchdError("noSpace", "the disk is full");
    const { ends } = rig.connect();
    await settled();
    expect(ends).toEqual(["1013 the server can't take the agent in now"]);
    expect(rig.sessions.session(anId("n1"))).toBeUndefined();
  });

  test("is not kept for a connection that says nothing", async () => {
    const rig = new Rig();
    const { agentLink } = rig.connect();
    agentLink.hold();
    await rig.pass(10_000);
    expect(agentLink.closed).toEqual({ code: 4400, reason: "the agent says nothing" });
  });

  test("ends on both sides when the server stops", async () => {
    const rig = new Rig();
    const { ends } = await rig.joined();
    rig.sessions.close();
    await settled();
    expect(ends).toEqual(["1001 the server stops"]);
    const late = rig.connect({ node: "n2" });
    await settled();
    expect(late.ends).toEqual(["1001 the server stops"]);
  });
});

describe("a session in which nothing happens", () => {
  test("costs a ping every 5 s, and nothing else", async () => {
    const rig = new Rig();
    const { agentLink, serverLink } = await rig.joined();
    const frames = () => agentLink.sent.length + serverLink.sent.length;
    const [before, pings] = [frames(), agentLink.pings];
    await rig.pass(500_000);
    expect([frames() - before, agentLink.pings - pings, serverLink.pings]).toEqual([0, 100, 0]);
  });
});

describe("a link that went dead", () => {
  test("is noticed by both ends after 15 s of silence, and before 20 s", async () => {
    const rig = new Rig();
    const { ends, agentLink } = await rig.joined();
    await rig.pass(60_000);
    expect(ends).toEqual([]);
    agentLink.cut();
    await rig.pass(14_900);
    expect([ends.length, rig.server.heard.at(-1)]).toEqual([0, "hello n1"]);
    await rig.pass(5100);
    expect(ends).toEqual(["4408 the other end has been silent for 15 s"]);
    expect(rig.server.heard.at(-1)).toBe("goodbye n1");
  });

  test("does not answer a probe, and a live one does at once", async () => {
    const rig = new Rig();
    const { agentLink } = await rig.joined();
    expect(await rig.sessions.probe(anId("n1"), 2000)).toBe(true);
    agentLink.cut();
    const [alive] = await Promise.all([rig.sessions.probe(anId("n1"), 2000), rig.pass(2000)]);
    expect(alive).toBe(false);
    expect(await rig.sessions.probe(anId("n9"), 2000)).toBe(false);
  });
});

describe("a second session of one node", () => {
  test("of the same agent process takes the place of the first", async () => {
    const rig = new Rig();
    const first = await rig.joined();
    const second = rig.connect({ instance: "i1" });
    await settled();
    expect(first.ends).toEqual(["4410 a newer session of this agent took its place"]);
    expect(second.welcomes.length).toBe(1);
    expect(rig.server.heard).toEqual(["hello n1", "hello n1"]);
    expect(rig.server.sessions.get(anId("n1"))).toBe(rig.remote());
  });

  test("of another process is refused while the first one lives: a copy of a machine", async () => {
    const rig = new Rig();
    const first = await rig.joined();
    const copy = rig.connect({ instance: "i2" });
    await settled();
    expect(copy.ends).toEqual(["4409 another machine with the same key is connected"]);
    expect(copy.welcomes).toEqual([]);
    expect(first.ends).toEqual([]);
    expect(rig.logged.join("\n")).toContain("is it a copy of that machine?");
  });

  test("of another process takes the place of one that does not answer within 2 s", async () => {
    const rig = new Rig();
    const first = await rig.joined();
    first.agentLink.cut();
    const second = rig.connect({ instance: "i2" });
    await rig.pass(1900);
    expect(second.welcomes).toEqual([]);
    await rig.pass(200);
    expect(second.welcomes.length).toBe(1);
    expect(rig.server.heard).toEqual(["hello n1", "hello n1"]);
    await rig.pass(60_000);
    expect(rig.server.sessions.get(anId("n1"))).toBe(rig.remote());
  });

  test("that waits for its seat gives way to a third", async () => {
    const rig = new Rig();
    const first = await rig.joined();
    first.agentLink.cut();
    const second = rig.connect({ instance: "i2" });
    await settled();
    const third = rig.connect({ instance: "i3" });
    await rig.pass(4100);
    expect(second.ends).toEqual(["4410 the agent came again"]);
    expect(third.welcomes.length).toBe(1);
  });
});

describe("a node that was removed", () => {
  /** A session whose agent has half a megabyte of sets before it, and takes none of it yet. */
  async function slow(rig: Rig) {
    const connected = await rig.joined();
    connected.serverLink.hold();
    const environment = { text: "x".repeat(30_000) };
    const container = { ...anAssignment("t").container, environment };
    const assignments = Array.from({ length: 16 }, (_, i) => anAssignment(`t${i}`, { container }));
    connected.remote.assign({ generation: 2, assignments });
    await settled();
    return { ...connected, dismissed: rig.sessions.dismiss(anId("n1"), 9) };
  }

  test("hears that it holds nothing before its session ends, however slow its link", async () => {
    const rig = new Rig();
    const { agent, ends, serverLink, dismissed } = await slow(rig);
    await rig.pass(10_000);
    expect([agent.sets.length, ends]).toEqual([1, []]);
    serverLink.release();
    await Promise.all([dismissed, rig.pass(0)]);
    expect(agent.sets.at(-1)).toEqual({ generation: 9, assignments: [] });
    expect(ends).toEqual(["4403 the node was removed from the cluster"]);
  });

  test("has no effect and gets no calls meanwhile", async () => {
    const rig = new Rig();
    const { end, remote } = await slow(rig);
    void end.report([aStatus("t1")]).catch(() => undefined);
    await settled();
    expect(rig.server.heard).toEqual(["hello n1"]);
    expect(rig.sessions.session(anId("n1"))).toBeUndefined();
    expect(await remote.images().catch((error: unknown) => error)).toMatchObject({
      code: "unreachable",
    });
  });

  test("has 30 s to read it, however alive it says that it is", async () => {
    const rig = new Rig();
    const [agentLink, serverLink] = MemoryLink.pair();
    rig.sessions.accept(serverLink, anId("n1"));
    agentLink.send(JSON.stringify({ type: "hello", protocol: 1, instance: "i1", facts: facts() }));
    await settled();
    const dismissed = rig.sessions.dismiss(anId("n1"), 9);
    serverLink.hold();
    for (let i = 0; i < 29; i++) {
      agentLink.ping();
      await rig.pass(1000);
    }
    expect(serverLink.closed).toBeUndefined();
    await Promise.all([dismissed, rig.pass(1000)]);
    expect(serverLink.closed).toEqual({ code: 1006, reason: "" });
    expect(rig.server.heard).toEqual(["hello n1", "goodbye n1"]);
  });
});

describe("a slow agent", () => {
  test("holds back nobody, and costs its newest set alone", async () => {
    const rig = new Rig();
    const slow = await rig.joined("slow");
    const others = await Promise.all(Array.from({ length: 100 }, (_, i) => rig.joined(`n${i}`)));
    slow.serverLink.hold();
    const environment = { text: "x".repeat(30_000) };
    for (let generation = 2; generation <= 60; generation++) {
      const container = { ...anAssignment("t").container, environment };
      const set = {
        generation,
        assignments: [anAssignment("t", { revision: generation, container })],
      };
      for (const session of rig.server.sessions.values()) session.assign(set);
      await settled();
    }
    expect(slow.serverLink.bufferedMax).toBeLessThan(400_000);
    expect(others.map(({ agent }) => agent.sets.at(-1)?.generation)).toEqual(
      Array.from({ length: 100 }, () => 60),
    );
    slow.serverLink.release();
    await settled();
    expect(slow.agent.sets.at(-1)?.generation).toBe(60);
    expect(slow.agent.sets.length).toBeLessThan(15);
  });

  test("that never reads what is urgent is given up", async () => {
    const rig = new Rig();
    const { serverLink, remote } = await rig.joined();
    serverLink.hold();
    const names = Array.from({ length: 100 }, () => "v".repeat(255));
    const calls = Array.from({ length: 300 }, () => remote.removeVolumes(names));
    const results = await Promise.allSettled(calls);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    expect(serverLink.bufferedMax).toBeLessThan(1_200_000);
    await settled();
    expect(rig.server.heard.at(-1)).toBe("goodbye n1");
  });
});
