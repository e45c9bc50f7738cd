import { afterEach, describe, expect, test } from "bun:test";
import type { Address, Message, PushedMember } from "../../../../src/core/gossip/messages.ts";
import { PRESETS, type Tuning } from "../../../../src/core/gossip/tuning.ts";
import { encodeMessage } from "../../../../src/core/gossip/wire/message.ts";
import { encodeSerfEvent } from "../../../../src/core/gossip/wire/serf-event.ts";
import { decodeSerfState, decodeIntent } from "../../../../src/core/gossip/wire/serf.ts";
import type { StreamMessage } from "../../../../src/core/gossip/wire/stream-message.ts";
import { decodeTags } from "../../../../src/core/gossip/wire/tags.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { randomBelow, seededRandom, systemRandom } from "../../../../src/lib/random.ts";
import {
  startMember,
  type GossipMember,
  type GossipMemberOptions,
  type MemberChange,
} from "../../../../src/net/gossip/gossip-member.ts";
import { Keyring } from "../../../../src/net/gossip/keyring.ts";
import { openGossipTransport, type GossipTransport } from "../../../../src/net/gossip/transport.ts";
import { failureOf, until } from "../../../conformance/runtime-until.ts";

const BIND: Address = { host: "127.0.0.1", port: 0 };
const KEY = new Uint8Array(32).fill(7);
/** Ten times as fast as orchd's own: the tests wait for what happens, whenever it does. */
const QUICK: Tuning = {
  ...PRESETS.orchd,
  probeIntervalMs: 50,
  probeTimeoutMs: 20,
  gossipIntervalMs: 20,
  reconnectIntervalMs: 200,
};

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

interface Tested extends GossipMember {
  changes: MemberChange[];
}

async function aMember(name: string, options: Partial<GossipMemberOptions> = {}): Promise<Tested> {
  const changes: MemberChange[] = [];
  const member = await startMember({
    name,
    tags: { name },
    bind: BIND,
    tuning: QUICK,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onChange: (change) => void changes.push(change),
    ...options,
  });
  opened.push(member);
  return Object.assign(member, { changes });
}

interface Stranger extends GossipTransport {
  got: Message[];
  streams: StreamMessage[];
}

/** Somebody with the wire format and no manners. */
async function aStranger(): Promise<Stranger> {
  const got: Message[] = [];
  const streams: StreamMessage[] = [];
  const transport = await openGossipTransport({
    bind: BIND,
    compress: false,
    policy: { loopback: true },
    clock: systemClock,
    onPacket: (messages) => void got.push(...messages),
    onStream: (message) => void streams.push(message),
  });
  opened.push(transport);
  return Object.assign(transport, { got, streams });
}

function sees(member: GossipMember, name: string, state: PushedMember["state"]) {
  const what = `${member.name} to see ${name} as ${state}`;
  return until(what, () => member.member(name)?.state === state);
}

describe("a notice", () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const bytes = (notice: string) => new TextEncoder().encode(notice);

  async function threeMembers() {
    const heard: string[] = [];
    const listening = async (name: string) =>
      aMember(name, { onNotice: (notice) => heard.push(`${name} ${text(notice)}`) });
    const [a, b, c] = [await listening("a"), await listening("b"), await listening("c")];
    await b.join([a.advertised]);
    await c.join([b.advertised]);
    for (const member of [a, b, c]) {
      for (const name of ["a", "b", "c"]) await sees(member, name, "alive");
    }
    return { heard, a, b, c };
  }

  test("comes to every other member, and to each once", async () => {
    const { heard, a, b } = await threeMembers();
    a.notify(bytes("one"));
    b.notify(bytes("two"));
    b.notify(bytes("two"));
    await until("all to hear of it", () => heard.length >= 6);
    // Gossip goes on for some rounds after that.
    a.notify(bytes("last"));
    await until("the last to be heard", () => heard.filter((one) => /last/.test(one)).length === 2);
    const wanted = ["a two", "a two", "b last", "b one", "c last", "c one", "c two", "c two"];
    expect(heard.toSorted()).toEqual(wanted);
  });

  test("comes to one member alone when it is for it", async () => {
    const { heard, a } = await threeMembers();
    a.notify(bytes("for c"), "c");
    a.notify(bytes("for all"));
    await until("both to hear", () => heard.filter((one) => /all/.test(one)).length === 2);
    await until("c to hear", () => heard.includes("c for c"));
    expect(heard.toSorted()).toEqual(["b for all", "c for all", "c for c"]);
  });

  test("that is too long is refused, and taken from nobody", async () => {
    const { heard, a } = await threeMembers();
    expect(() => a.notify(new Uint8Array(1025))).toThrow("a notice has more than 1024 bytes");
    const payload = encodeSerfEvent({ time: 9, name: "orchd", payload: new Uint8Array(1100) });
    const foreign = encodeSerfEvent({ time: 9, name: "deploy", payload: bytes("hello") });
    const stranger = await aStranger();
    for (const one of [payload, foreign, payload.subarray(0, 20), Uint8Array.of(3)]) {
      stranger.send(a.advertised, [encodeMessage({ type: "user", payload: one })]);
    }
    const good = encodeSerfEvent({ time: 2 ** 40, name: "orchd", payload: bytes("good") });
    stranger.send(a.advertised, [encodeMessage({ type: "user", payload: good })]);
    await until("the good one to be heard", () => heard.length > 0);
    expect(heard[0]).toBe("a good");
  });
});

describe("members that join one another", () => {
  test("know each other, with their tags, and tell of what changes", async () => {
    const [a, b, c] = [await aMember("a"), await aMember("b"), await aMember("c")];
    expect(await b.join([a.advertised])).toBe(1);
    expect(await c.join([b.advertised])).toBe(1);
    for (const member of [a, b, c]) {
      for (const name of ["a", "b", "c"]) await sees(member, name, "alive");
    }
    b.updateTags({ name: "b", zone: "north" });
    await until("a and c to hear of it", () =>
      [a, c].every((member) => decodeTags(member.member("b")?.meta ?? KEY)["zone"] === "north"),
    );
    expect(a.changes.map(({ node }) => node)).toContain("c");
  });

  test("say how many answered", async () => {
    const [a, b] = [await aMember("a"), await aMember("b")];
    const gone = await aMember("gone");
    gone.close();
    expect(await a.join([b.advertised, gone.advertised])).toBe(1);
    expect(await a.join([gone.advertised, { host: "not an address", port: 1 }])).toBe(0);
  });

  test("see a farewell as one, and a silence as a death", async () => {
    const [a, b, c] = [await aMember("a"), await aMember("b"), await aMember("c")];
    await b.join([a.advertised]);
    await c.join([a.advertised]);
    await sees(b, "c", "alive");
    await c.leave();
    c.close();
    await sees(a, "c", "left");
    b.close();
    await sees(a, "b", "dead");
  });

  test("hear of the new address of another", async () => {
    const [a, b] = [await aMember("a"), await aMember("b")];
    await b.join([a.advertised]);
    await sees(a, "b", "alive");
    const moved = { host: "127.0.0.2", port: b.advertised.port };
    b.setAdvertise(moved);
    await until("a to know the new address", () => a.member("b")?.address.host === "127.0.0.2");
    expect(b.advertised).toEqual(moved);
  });

  test("do not understand members with another key", async () => {
    const a = await aMember("a", { keyring: new Keyring(KEY) });
    const b = await aMember("b", { keyring: new Keyring(new Uint8Array(32)) });
    expect(await b.join([a.advertised])).toBe(0);
    expect(a.member("b")).toBeUndefined();
    expect(a.traffic.refused.get("undecryptable")).toBe(1);
  });

  test("have at most 512 bytes of tags", async () => {
    const tags = { long: "x".repeat(600) };
    const failure = await aMember("a", { tags }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OrchdError);
    const a = await aMember("a");
    expect(() => a.updateTags(tags)).toThrow("more than 512 bytes");
  });
});

describe("a stranger that speaks the protocol", () => {
  test("is answered a ping over a stream if it means this member", async () => {
    const [a, stranger] = [await aMember("a"), await aStranger()];
    const ping = (node: string) => ({ type: "ping", sequence: 9, node }) as const;
    const ack = { type: "ack", sequence: 9, payload: new Uint8Array() } as const;
    expect(await stranger.exchange(a.advertised, ping("a"), 5000)).toEqual(ack);
    expect(await stranger.exchange(a.advertised, ping(""), 5000)).toEqual(ack);
    const failure = await failureOf(stranger.exchange(a.advertised, ping("b"), 5000));
    expect(failure.message).toContain("without an answer");
  });

  test("cannot make a member believe that it is dead, left, or somebody else", async () => {
    const [a, stranger] = [await aMember("a"), await aStranger()];
    const forged: Message[] = [
      { type: "dead", incarnation: 50, node: "a", from: "x" },
      { type: "dead", incarnation: 60, node: "a", from: "a" },
      { type: "suspect", incarnation: 70, node: "a", from: "x" },
    ];
    stranger.send(a.advertised, forged.map(encodeMessage));
    await until("a's refutation", () => (a.member("a")?.incarnation ?? 0) > 70);
    expect(a.member("a")?.state).toBe("alive");
  });

  test("cannot fill the membership with members that are not there", async () => {
    const [a, stranger] = [
      await aMember("a", { tuning: { ...QUICK, membersMax: 100 } }),
      await aStranger(),
    ];
    const members = Array.from({ length: 4000 }, (_, at): PushedMember => {
      const address = { host: `10.9.${at >> 8}.${at & 255}`, port: 7946 };
      const versions = [1, 5, 5, 2, 5, 5] as const;
      const meta = new Uint8Array();
      return { node: `ghost-${at}`, address, meta, incarnation: 1, state: "left", versions };
    });
    const ghosts = members.map((member) => ({ ...member, state: "alive" as const }));
    const state = { join: true, members: ghosts, userState: new Uint8Array() };
    await stranger.exchange(a.advertised, { type: "pushPull", state, refused: [] }, 5000);
    expect([...a.members()]).toHaveLength(100);
    expect(a.ignored.get("limit")).toBe(4000 - 99);
  });

  test("is told what serf wants to know in a push/pull", async () => {
    const [a, b, stranger] = [await aMember("a"), await aMember("b"), await aStranger()];
    await b.join([a.advertised]);
    const state = { join: true, members: [], userState: new Uint8Array() };
    const answer = await stranger.exchange(
      a.advertised,
      { type: "pushPull", state, refused: [] },
      5000,
    );
    if (answer.type !== "pushPull") throw new Error(`answered with ${answer.type}`);
    expect(decodeSerfState(answer.state.userState)?.left).toEqual([]);
    expect(answer.state.members.map(({ node }) => node).toSorted()).toEqual(["a", "b"]);
  });
});

test("a serf hears the intent to leave before the leave", async () => {
  const [a, stranger] = [await aMember("a"), await aStranger()];
  const member: PushedMember = {
    node: "serf",
    address: { host: "127.0.0.1", port: stranger.port },
    meta: new Uint8Array(),
    incarnation: 1,
    state: "alive",
    versions: [1, 5, 2, 2, 5, 5],
  };
  const state = { join: true, members: [member], userState: new Uint8Array() };
  await stranger.exchange(a.advertised, { type: "pushPull", state, refused: [] }, 5000);
  await a.leave();
  await until("the leave", () => stranger.got.some(({ type }) => type === "dead"));
  const told = stranger.got.flatMap((message) => {
    if (message.type === "dead") return [message.node === "a" ? "left" : "other"];
    const intent = message.type === "user" ? decodeIntent(message.payload) : undefined;
    return intent?.kind === "leave" ? ["intent"] : [];
  });
  expect(told.indexOf("intent")).toBeGreaterThanOrEqual(0);
  expect(told.indexOf("intent")).toBeLessThan(told.indexOf("left"));
});

test("twenty thousand random packets leave a member as it was", async () => {
  const [a, b] = [await aMember("a"), await aMember("b")];
  await b.join([a.advertised]);
  await sees(a, "b", "alive");
  const socket = await Bun.udpSocket({ hostname: "127.0.0.1", socket: { error: () => {} } });
  const random = seededRandom("flood");
  const { host, port } = a.advertised;
  for (let sent = 0; sent < 20_000;) {
    const before = a.traffic.packetsIn;
    for (let i = 0; i < 200; i++, sent++) {
      const packet = Uint8Array.from({ length: randomBelow(random, 100) }, () =>
        randomBelow(random, 256),
      );
      socket.send(packet, port, host);
    }
    await until("some of them to arrive", () => a.traffic.packetsIn > before);
  }
  socket.close();
  await sees(a, "b", "alive");
  expect([...a.members()].map(({ node }) => node).toSorted()).toEqual(["a", "b"]);
  expect([...a.traffic.refused.values()].reduce((sum, count) => sum + count)).toBeGreaterThan(9000);
});

describe("a probe of the way to a member", () => {
  test("comes back over UDP and over TCP, by name or from whoever is there", async () => {
    const keyring = () => new Keyring(KEY);
    const a = await aMember("a", { keyring: keyring() });
    const b = await aMember("b", { keyring: keyring() });
    for (const name of ["b", ""]) {
      expect(await a.probe(b.advertised, name, 5000)).toBe(true);
      expect(await a.probeStream(b.advertised, name, 5000)).toBeUndefined();
    }
    expect([...b.ignored.values(), ...b.traffic.refused.values()]).toEqual([]);
  });

  test("does not come back from another member, another cluster, or nobody", async () => {
    const a = await aMember("a", { keyring: new Keyring(KEY) });
    const b = await aMember("b", { keyring: new Keyring(new Uint8Array(32).fill(8)) });
    expect(await a.probe(b.advertised, "", 50)).toBe(false);
    const foreign = await failureOf(a.probeStream(b.advertised, "", 5000));
    expect(foreign).toMatchObject({ code: "unreachable" });
    expect(foreign).not.toHaveProperty("cause");
    const c = await aMember("c", { keyring: new Keyring(KEY) });
    expect(await a.probe(c.advertised, "d", 50)).toBe(false);
    const gone = c.advertised;
    c.close();
    const refused = await failureOf(a.probeStream(gone, "c", 5000));
    expect(refused).toMatchObject({ code: "unreachable" });
    expect(refused).toHaveProperty("cause.code", "ECONNREFUSED");
  });
});
