import { describe, expect, test } from "bun:test";
import { seededRandom, type Random, randomBelow } from "../../../src/lib/random.ts";
import { AgentEnd } from "../../../src/session/agent-end.ts";
import { decodePayload, encodePayload, type PayloadKind } from "../../../src/session/payload.ts";
import { WINDOW_BYTES } from "../../../src/session/session-stream.ts";
import { aMapNode, aMapTask, anAssignment, aNetworkChange, anId } from "../../builders.ts";
import { aStatus } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { MemoryLink } from "./memory-link.ts";
import { facts, Rig, ScriptedAgent, WELCOME } from "./rig.ts";

const HELLO = { type: "hello", protocol: 1, instance: "i1", facts: facts() };
const OPEN = { type: "open", stream: 1, call: { method: "images" } };
const task = anId<"task">("t");

/** A server's sessions, and the bare end of a connection that says what the test wants. */
function aBareAgent(rig = new Rig()) {
  const [link, serverLink] = MemoryLink.pair();
  link.listen({ onText() {}, onBytes() {}, onSound() {}, onDrain() {}, onClose() {} });
  rig.sessions.accept(serverLink, anId("n1"));
  return { rig, link };
}

/** An agent, and the bare end of a connection that plays its server. */
function aBareServer() {
  const rig = new Rig();
  const [agentLink, link] = MemoryLink.pair();
  const frames: unknown[] = [];
  const payloads: ReturnType<typeof decodePayload>[] = [];
  link.listen({
    onText: (text) => frames.push(JSON.parse(text)),
    onBytes: (bytes) => payloads.push(decodePayload(bytes)),
    onSound() {},
    onDrain() {},
    onClose() {},
  });
  const agent = new ScriptedAgent();
  const options = { clock: rig.clock, log: rig.log(), agent, instance: "i1", facts: facts() };
  const quiet = { onWelcome() {}, onNews() {}, onHeartbeat() {}, onEnd() {} };
  const end = new AgentEnd({ ...options, ...quiet, link: agentLink });
  const say = async (...said: unknown[]) => {
    for (const frame of said) link.send(JSON.stringify(frame));
    await settled();
  };
  return {
    agent,
    end,
    frames,
    link,
    payloads,
    say,
    welcome: { type: "welcome", protocol: 1, ...WELCOME },
  };
}

const payload = (kind: PayloadKind, length = 0, stream = 1) =>
  encodePayload({ stream, kind, bytes: new Uint8Array(length) });

describe("an agent that sends nonsense", () => {
  const cases: [title: string, frames: (object | string | Uint8Array)[], reason: RegExp][] = [
    ["what is not JSON", ["hunter2"], /^(?!.*hunter2)a frame/],
    ["an unknown type", [HELLO, { type: "coup" }], /a frame of unknown type/],
    ["no hello", [{ type: "whole" }], /did not wait for its welcome/],
    ["hello twice", [HELLO, HELLO], /said hello twice/],
    ["facts that are too long", [{ ...HELLO, facts: facts("h".repeat(300)) }], /facts.hostname/],
    ["another protocol", [{ ...HELLO, protocol: 99 }], /the agent speaks protocol 99/],
    ["a frame that is too long", ["[".repeat(1_100_000)], /too long/],
    ["JSON that is nested without end", ["[".repeat(900_000)], /a frame is nested too deep/],
    [
      "a status without a task",
      [HELLO, { type: "statuses", sequence: 1, statuses: [{}] }],
      /status/,
    ],
    ["bytes of no stream", [HELLO, payload("data", 10)], /belongs to no stream/],
    ["an empty binary frame", [HELLO, new Uint8Array()], /belongs to no stream/],
    ["a binary frame of unknown kind", [HELLO, new Uint8Array([0, 0, 0, 1, 99])], /no stream/],
  ];
  for (const [title, frames, reason] of cases) {
    test(`loses its session for ${title}, with the reason`, async () => {
      const { link } = aBareAgent();
      for (const frame of frames) {
        const text = typeof frame === "string" || frame instanceof Uint8Array;
        link.send(text ? frame : JSON.stringify(frame));
        await settled();
      }
      expect(link.closed?.reason).toMatch(reason);
    });
  }

  test("can't speak for another node: its word counts for its own alone", async () => {
    const { rig, link } = aBareAgent();
    link.send(JSON.stringify({ ...HELLO, nodeId: anId("n9") }));
    await settled();
    const statuses = [aStatus("t1")];
    link.send(JSON.stringify({ type: "statuses", sequence: 1, statuses, nodeId: anId("n9") }));
    await settled();
    expect(rig.server.heard).toEqual(["hello n1", "n1 says t1 running"]);
  });

  test("loses its session when it sends more on a stream than it may", async () => {
    const { rig, link } = aBareAgent();
    link.send(JSON.stringify(HELLO));
    await settled();
    const lines = rig.remote().logs(task, { follow: true }, new AbortController().signal);
    const first = lines.next().catch((error: unknown) => error);
    await settled();
    // Nobody takes more than the first of it: it has no line break.
    const pieces = Math.ceil((2 * WINDOW_BYTES) / 32_768);
    const frames = Array.from({ length: pieces }, () => payload("data", 32_768));
    for (const frame of frames) link.send(frame);
    await settled();
    expect(link.closed?.reason).toContain("sends more than it may");
    expect(await first).toMatchObject({ code: expect.any(String) });
  });

  test("loses its session when it floods the server with statuses", async () => {
    const { rig, link } = aBareAgent();
    link.send(JSON.stringify(HELLO));
    await settled();
    for (let sequence = 0; sequence < 1000; sequence++) {
      link.send(JSON.stringify({ type: "statuses", sequence, statuses: [aStatus("t1")] }));
    }
    await settled();
    expect(link.closed?.reason).toContain("does not wait");
    expect(rig.server.statuses.length).toBeLessThan(100);
  });

  test("keeps its session when a result has another shape: its caller gets an error", async () => {
    const { rig, link } = aBareAgent();
    link.send(JSON.stringify(HELLO));
    await settled();
    const images = rig
      .remote()
      .images()
      .catch((error: unknown) => error);
    await settled();
    link.send(encodePayload({ stream: 1, kind: "result", bytes: new TextEncoder().encode("[7]") }));
    expect(await images).toMatchObject({ code: "internal" });
    expect(link.closed).toBeUndefined();
  });
});

describe("a server that sends nonsense", () => {
  test("is left: it opens a stream twice, or says nothing first", async () => {
    const { welcome } = aBareServer();
    const cases: [frames: object[], reason: RegExp][] = [
      [[welcome, OPEN, OPEN], /a stream begins twice/],
      [[OPEN], /did not say welcome first/],
      [[{ ...welcome, protocol: 2 }], /the server speaks protocol 2/],
      [[welcome, { ...welcome, protocol: 2 }], /the server speaks protocol 2/],
      [[welcome, { type: "assignments", generation: -1 }], /generation/],
    ];
    for (const [frames, reason] of cases) {
      const server = aBareServer();
      await server.say(...frames);
      expect(server.link.closed?.reason).toMatch(reason);
    }
  });

  test("hears that the agent does not know a call, and the session goes on", async () => {
    const { say, welcome, payloads, link } = aBareServer();
    await say(welcome, { type: "open", stream: 1, call: { method: "dance" } });
    expect(payloads.map((one) => one?.kind)).toEqual(["error"]);
    expect(new TextDecoder().decode(payloads[0]?.bytes)).toContain("upgrade it");
    expect(link.closed).toBeUndefined();
  });

  test("is asked for the whole set when it changes one that the agent does not have", async () => {
    const { agent, say, welcome, frames } = aBareServer();
    const change = { type: "assignments", changed: [], removed: [], more: false };
    await say(welcome, { ...change, generation: 9, base: 8 });
    expect(frames.at(-1)).toEqual({ type: "whole", of: "assignments" });
    const changed = [anAssignment("t")];
    await say({ ...change, generation: 9, changed });
    expect(agent.sets).toEqual([{ generation: 9, assignments: changed }]);
  });

  test("is asked for the whole map when it changes one that the agent does not have", async () => {
    const { agent, say, welcome, frames } = aBareServer();
    const change = { type: "network", ...aNetworkChange({ generation: 9 }), more: false };
    await say(welcome, { ...change, base: 8 });
    expect(frames.at(-1)).toEqual({ type: "whole", of: "network" });
    await say(change);
    expect(agent.changes).toEqual([aNetworkChange({ generation: 9 })]);
  });

  test("is left when a map of it holds what is no address, or far too much", async () => {
    const task = { ...aMapTask("t"), address: "10.210.1.2; reboot" };
    const change = { type: "network", ...aNetworkChange(), more: true };
    const cases: [frames: object[], reason: RegExp][] = [
      [[{ ...change, tasks: [task] }], /tasks.0.address/],
      [[{ ...change, range: "everything" }], /range/],
      [[{ ...change, nodes: [{ ...aMapNode("n1"), address: "-f /etc/passwd" }] }], /nodes.0/],
      [
        Array.from({ length: 14 }, () => {
          const tasks = Array.from({ length: 20_000 }, () => anId("t"));
          return { ...change, removed: { nodes: [], services: [], tasks } };
        }),
        /a map of the network is too large/,
      ],
    ];
    for (const [frames, reason] of cases) {
      const { say, welcome, link, agent } = aBareServer();
      await say(welcome, ...frames);
      expect(link.closed?.reason).toMatch(reason);
      expect(agent.changes).toEqual([]);
    }
  });
});

describe("contents that a server sends", () => {
  const take = (over: object) => {
    const call = { method: "takeContent", ref: { id: anId("pass"), number: 1 }, isGone: false };
    return { type: "open", stream: 1, call: { ...call, ...over } };
  };
  const told = (payloads: ReturnType<typeof decodePayload>[]) =>
    payloads.map((one) => `${one?.kind} ${new TextDecoder().decode(one?.bytes)}`).join("; ");

  test("are refused when they are larger than any may be, whatever is sent further", async () => {
    const { agent, say, welcome, link, payloads } = aBareServer();
    await say(welcome, take({}));
    for (let i = 0; i < 40; i++) {
      link.send(payload("data", 32 * 1024));
      await settled();
    }
    expect(told(payloads)).toContain("a content is larger than any may be");
    expect(agent.contents.size).toBe(0);
    expect(link.closed).toBeUndefined();
  });

  test("are not kept when the call is given up before their end", async () => {
    const { agent, say, welcome, link, payloads } = aBareServer();
    await say(welcome, take({}));
    link.send(payload("data", 100));
    await say({ type: "cancel", stream: 1 });
    expect(agent.contents.size).toBe(0);
    expect(payloads).toEqual([]);
    expect(link.closed).toBeUndefined();
  });

  test("are refused when what they are for makes no sense", async () => {
    for (const ref of [{ id: "../../etc", number: 1 }, { id: anId("pass"), number: 0 }, {}, null]) {
      const { agent, say, welcome, payloads } = aBareServer();
      await say(welcome, take({ ref }));
      expect(told(payloads)).toContain("error");
      expect(agent.contents.size).toBe(0);
    }
  });
});

describe("random input", () => {
  const SEEDS = Array.from({ length: 300 }, (_, i) => `hostile ${i}`);

  test("never does more than to end the session that it came on", async () => {
    const rig = new Rig();
    const honest = await rig.joined("honest");
    for (const seed of SEEDS) {
      const random = seededRandom(seed);
      const { link } = aBareAgent(rig);
      if (random.next() < 0.8) link.send(JSON.stringify(HELLO));
      await settled();
      for (let i = 0; i < 5; i++) link.send(randomFrame(random));
      await settled();
      link.terminate();
    }
    expect(await honest.remote.images()).toEqual(await honest.agent.images());
  });

  test("from a server never does more either", async () => {
    for (const seed of SEEDS) {
      const random = seededRandom(seed);
      const { link, say, welcome } = aBareServer();
      await say(welcome);
      for (let i = 0; i < 5; i++) link.send(randomFrame(random));
      await settled();
      link.terminate();
    }
  });
});

const SEEDLINGS: object[] = [
  HELLO,
  { type: "statuses", sequence: 0, statuses: [aStatus("t")] },
  { type: "whole" },
  { type: "time", id: 1 },
  { type: "grant", stream: 1, bytes: 100 },
  OPEN,
  { type: "cancel", stream: 1 },
  { ...OPEN, call: { method: "lackedContents", refs: [{ id: anId("pass"), number: 1 }] } },
  { ...OPEN, call: { method: "takeContent", ref: { id: anId("p"), number: 1 }, isGone: false } },
  { type: "ack", sequence: 0 },
  { type: "nack", sequence: 0, message: "" },
  {
    type: "assignments",
    generation: 1,
    base: 0,
    changed: [anAssignment("t")],
    removed: [],
    more: true,
  },
  { type: "network", ...aNetworkChange({ base: 0, tasks: [aMapTask("t")] }), more: true },
];

/** Noise, or a frame of ours that was changed a little. */
function randomFrame(random: Random): string | Uint8Array {
  const kind = randomBelow(random, 3);
  if (kind === 0) {
    return Uint8Array.from({ length: randomBelow(random, 40) }, () => randomBelow(random, 256));
  }
  const text = JSON.stringify(SEEDLINGS[randomBelow(random, SEEDLINGS.length)]);
  if (kind === 1) return text.slice(0, randomBelow(random, text.length));
  const at = randomBelow(random, text.length);
  const swapped = ["0", "null", "-1", '"', "{}", "1e308", "[]"][randomBelow(random, 7)] ?? "";
  return text.slice(0, at) + swapped + text.slice(at + randomBelow(random, 5));
}
