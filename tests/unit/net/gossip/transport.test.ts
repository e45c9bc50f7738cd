import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { Address, Message } from "../../../../src/core/gossip/messages.ts";
import { encodeMessage } from "../../../../src/core/gossip/wire/message.ts";
import type { StreamMessage } from "../../../../src/core/gossip/wire/stream-message.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { Keyring } from "../../../../src/net/gossip/keyring.ts";
import {
  openGossipTransport,
  type GossipTransport,
  type TransportOptions,
} from "../../../../src/net/gossip/transport.ts";
import { failureOf, until } from "../../../conformance/runtime-until.ts";
import { aPushPull } from "./samples.ts";

const KEY = new TextEncoder().encode("0123456789abcdef");
const OTHER_KEY = new TextEncoder().encode("fedcba98765432100123456789abcdef");
const HOST = "127.0.0.1";
const NACK = { type: "nack", sequence: 7 } as const;

const opened: GossipTransport[] = [];
afterEach(() => {
  for (const transport of opened.splice(0)) transport.close();
});

interface End extends GossipTransport {
  at: Address;
  messages: Message[];
  streams: StreamMessage[];
}

/** A transport on a free port that keeps what comes and answers each stream with its own state. */
async function anEnd(options: Partial<TransportOptions> = {}): Promise<End> {
  const messages: Message[] = [];
  const streams: StreamMessage[] = [];
  const transport = await openGossipTransport({
    bind: { host: HOST, port: 0 },
    compress: false,
    policy: { loopback: true },
    clock: systemClock,
    onPacket: (some) => void messages.push(...some),
    onStream: (message) => {
      streams.push(message);
      return message.type === "pushPull" ? aPushPull("answer") : undefined;
    },
    ...options,
  });
  opened.push(transport);
  const at = { host: HOST, port: transport.port };
  return Object.assign(transport, { at, messages, streams });
}

/** A bare connection to a transport, and what it gets. */
async function aConnection(to: Address): Promise<{ socket: Socket; got: () => string }> {
  let got = "";
  const socket = connect({ ...to, allowHalfOpen: true });
  socket.on("data", (chunk) => (got += chunk.toString("latin1")));
  socket.on("error", () => (got += "(error)"));
  socket.on("end", () => (got += "(end)"));
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, got: () => got };
}

describe("packets", () => {
  test("arrive, in their order and in one packet as long as they fit", async () => {
    const [a, b] = [await anEnd(), await anEnd()];
    const sent: Message[] = Array.from({ length: 200 }, (_, at) => ({ ...NACK, sequence: at }));
    a.send(b.at, sent.map(encodeMessage));
    await until("all messages", () => b.messages.length === sent.length);
    expect(b.messages).toEqual(sent);
    expect(b.traffic.packetsIn).toBe(Math.ceil((200 * 11) / (1400 - a.overheadBytes)));
  });

  test("of every wrapping are understood by another of the same", async () => {
    for (const options of [
      { compress: true },
      { keyring: new Keyring(KEY) },
      { keyring: new Keyring(KEY), compress: true, label: "blue" },
    ]) {
      const [a, b] = [await anEnd(options), await anEnd(options)];
      a.send(b.at, [encodeMessage(NACK), encodeMessage(NACK)]);
      await until("both messages", () => b.messages.length === 2);
      expect(b.messages).toEqual([NACK, NACK]);
    }
  });

  test("of other clusters are counted by what is wrong with them", async () => {
    const secret = await anEnd({ keyring: new Keyring(KEY) });
    const plain = await anEnd();
    const labelled = await anEnd({ label: "blue" });
    const other = await anEnd({ keyring: new Keyring(OTHER_KEY) });
    for (const from of [plain, labelled, other]) from.send(secret.at, [encodeMessage(NACK)]);
    await until("three packets", () => secret.traffic.packetsIn === 3);
    expect(secret.messages).toEqual([]);
    expect(Object.fromEntries(secret.traffic.refused)).toEqual({
      plaintext: 1,
      badLabel: 1,
      undecryptable: 1,
    });
  });

  test("to a port where nobody listens cost no other packet", async () => {
    const [a, b, c] = [await anEnd(), await anEnd(), await anEnd()];
    const gone = b.at;
    b.close();
    for (let sent = 0; sent < 50; sent++) {
      a.send(gone, [encodeMessage(NACK)]);
      a.send(c.at, [encodeMessage(NACK)]);
      await until("the packet to another", () => c.messages.length === sent + 1);
    }
    expect(a.traffic.packetErrors).toBeGreaterThan(0);
  });

  test("to what is no address are lost", async () => {
    const a = await anEnd();
    a.send({ host: "no address", port: 1 }, [encodeMessage(NACK)]);
    expect([a.traffic.packetsOut, a.traffic.packetErrors]).toEqual([0, 3]);
  });
});

describe("keys are rotated while packets flow", () => {
  test("each step leaves both sides understanding each other", async () => {
    const rings = [new Keyring(KEY), new Keyring(KEY)] as const;
    const [a, b] = [await anEnd({ keyring: rings[0] }), await anEnd({ keyring: rings[1] })];
    const bothHear = async () => {
      const before = [a.messages.length, b.messages.length];
      a.send(b.at, [encodeMessage(NACK)]);
      b.send(a.at, [encodeMessage(NACK)]);
      await until("both messages", () => {
        const now = [a.messages.length, b.messages.length];
        return now.every((count, at) => count === (before[at] ?? 0) + 1);
      });
    };
    const steps = ["add", "use", "remove"] as const;
    for (const step of steps) {
      for (const ring of rings) {
        ring[step](step === "remove" ? KEY : OTHER_KEY);
        await bothHear();
      }
    }
    expect(rings[0].list()).toEqual([OTHER_KEY]);
    const old = await anEnd({ keyring: new Keyring(KEY) });
    old.send(a.at, [encodeMessage(NACK)]);
    await until("the refusal", () => a.traffic.refused.get("undecryptable") === 1);
  });

  test("no two packets have one nonce, though they say the same", () => {
    const ring = new Keyring(KEY);
    const sealed = Array.from({ length: 10_000 }, () => ring.seal(KEY, new Uint8Array()));
    const nonces = sealed.map((bytes) => Buffer.from(bytes.subarray(0, 12)).toString("hex"));
    expect(new Set(nonces).size).toBe(sealed.length);
  });

  test("a key of another length, an unknown one and the one in use are refused", () => {
    const ring = new Keyring(KEY);
    expect(() => new Keyring(KEY.subarray(1))).toThrow("16, 24 or 32 bytes, not 15");
    expect(() => ring.use(OTHER_KEY)).toThrow("add it first");
    expect(() => ring.remove(KEY)).toThrow("use another one first");
    ring.remove(OTHER_KEY);
    expect(ring.list()).toEqual([KEY]);
  });
});

describe("streams", () => {
  test("bring a push/pull and its answer, in every wrapping", async () => {
    for (const options of [
      {},
      { compress: true },
      { keyring: new Keyring(KEY), compress: true, label: "blue" },
    ]) {
      const [a, b] = [await anEnd(options), await anEnd(options)];
      const answer = await a.exchange(b.at, aPushPull("question"), 5000);
      expect(answer).toEqual(aPushPull("answer"));
      expect(b.streams).toEqual([aPushPull("question")]);
    }
  });

  test("that nobody takes or answers fail with what can be done", async () => {
    const [a, b] = [await anEnd(), await anEnd({ onStream: () => undefined })];
    const silent = await failureOf(a.exchange(b.at, aPushPull("x"), 5000));
    expect([silent.code, silent.message]).toEqual([
      "unreachable",
      `127.0.0.1 port ${b.port}/tcp closed the connection without an answer`,
    ]);
    b.close();
    expect((await failureOf(a.exchange(b.at, aPushPull("x"), 5000))).code).toBe("unreachable");
  });

  test("to a cluster with another key say so", async () => {
    const a = await anEnd({ keyring: new Keyring(KEY) });
    const answersPlainly = await anEnd({ onStream: () => aPushPull("answer") });
    const failure = await failureOf(a.exchange(answersPlainly.at, aPushPull("x"), 5000));
    expect(failure.message).toContain("closed the connection without an answer");
    expect(answersPlainly.traffic.refused.get("undecryptable")).toBe(1);
  });

  test("whose bytes make no sense are told why", async () => {
    const a = await anEnd();
    const { socket, got } = await aConnection(a.at);
    socket.write(Uint8Array.of(6, 0x90));
    await until("an error message", () => got().endsWith("(end)"));
    expect(got()).toContain("not taken: badValue");
    expect(a.traffic.refused.get("badValue")).toBe(1);
    socket.destroy();
  });

  test("that are closed half-way are let go", async () => {
    const a = await anEnd();
    const { socket, got } = await aConnection(a.at);
    socket.end(Uint8Array.of(6, 0x83));
    await until("the end", () => got().endsWith("(end)"));
    expect(a.traffic.refused.get("truncated")).toBe(1);
  });

  test("a byte now and then, or none, end at the deadline", async () => {
    const limits = { streamsMax: 8, streamsPerHostMax: 8, streamTimeoutMs: 200 };
    const a = await anEnd({ limits });
    const silent = await aConnection(a.at);
    const slow = await aConnection(a.at);
    slow.socket.write(Uint8Array.of(6));
    const isOver = ({ socket }: { socket: Socket }) => socket.destroyed || socket.readableEnded;
    await until("both to be closed", () => isOver(silent) && isOver(slow));
    expect(a.traffic.streamFailures.get("deadline")).toBe(2);
  });

  test("a thousand at a time: a few are served and the others turned away", async () => {
    const a = await anEnd({
      limits: { streamsMax: 8, streamsPerHostMax: 4, streamTimeoutMs: 300 },
    });
    const sockets = Array.from({ length: 1000 }, () => {
      const socket = connect(a.at);
      socket.on("error", () => undefined);
      return socket;
    });
    await until("all to be turned away or timed out", () => {
      const { streamFailures } = a.traffic;
      const failed =
        (streamFailures.get("tooManyStreams") ?? 0) + (streamFailures.get("deadline") ?? 0);
      return failed === 1000;
    });
    expect(a.traffic.streamFailures.get("deadline")).toBeGreaterThanOrEqual(4);
    for (const socket of sockets) socket.destroy();
    const b = await anEnd();
    expect(await b.exchange(a.at, aPushPull("x"), 5000)).toEqual(aPushPull("answer"));
  });
});

test("a port that another program has is told as such", async () => {
  const a = await anEnd();
  const failure = await failureOf(anEnd({ bind: a.at }));
  expect([failure.code, failure.message]).toEqual([
    "conflict",
    `gossip port ${a.port} of 127.0.0.1 is in use by another program here`,
  ]);
});

test("a label of more than 255 bytes is refused", async () => {
  const failure = await failureOf(anEnd({ label: "ü".repeat(128) }));
  expect([failure.code, failure.message]).toEqual([
    "invalid",
    "A gossip label has at most 255 bytes: choose a shorter one.",
  ]);
});
