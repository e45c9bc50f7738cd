import { afterEach, describe, expect, test } from "bun:test";
import { decode } from "dns-packet";
import type { Question, ZoneAnswer } from "../../../../src/core/network/zone.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import { CLIENT_BOUNDS, ClientLimit } from "../../../../src/net/dns/client-limit.ts";
import type { Kept } from "../../../../src/net/dns/forwarder.ts";
import { readReply } from "../../../../src/net/dns/reply.ts";
import { Responder } from "../../../../src/net/dns/responder.ts";
import { listenTcp } from "../../../../src/net/dns/tcp-server.ts";
import { listenDns } from "../../../../src/net/dns/server.ts";
import { until } from "../../../conformance/runtime-until.ts";
import { anAnswerTo, answered, aQuery, aQuestion, isTruncated } from "./packets.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** `web` has one address, `many` has many, `later.example` comes when it is let go. */
function answerTo({ name }: Question): ZoneAnswer {
  const count = name === "many" ? 200 : 1;
  if (name === "web" || name === "many") {
    const records = Array.from({ length: count }, (_, i) => {
      return { type: "A" as const, address: `10.210.1.${i}` };
    });
    return { kind: "found", records };
  }
  return { kind: name.includes(".") ? "foreign" : "absent" };
}

/** Of loopback, and of nobody else: what UDP has of it is free for TCP as well. */
const HOST = "127.0.0.3";

function aResponder(bounds = CLIENT_BOUNDS) {
  const waiting: (() => void)[] = [];
  const responder = new Responder({
    names: { admits: (asker) => asker.startsWith("127."), answer: answerTo },
    forwarder: {
      lookUp: (query) => {
        if (query.name === "nobody.example") return undefined;
        return new Promise<Kept | undefined>((resolve) => {
          const packet = anAnswerTo(aQuestion(query.name), {
            answers: [{ type: "A", name: query.name, ttl: 9, data: "192.0.2.1" }],
          });
          const reply = readReply(packet, 7, aQuery(query.name).question);
          waiting.push(() => resolve(reply === undefined ? undefined : { reply, ageS: 0 }));
        });
      },
    },
    limit: new ClientLimit(bounds),
    upstreamsOf: () => [],
    now: () => 0,
  });
  return { responder, waiting };
}

async function serve(bounds = CLIENT_BOUNDS) {
  const made = aResponder(bounds);
  const { responder } = made;
  const options = { host: HOST, port: 0, responder, clock: systemClock };
  const server = await listenDns(options);
  cleanups.push(() => server.close());
  return { ...made, port: server.port };
}

async function udpClient(port: number) {
  const received: Buffer[] = [];
  const socket = await Bun.udpSocket({
    connect: { hostname: HOST, port },
    socket: { data: (_socket, packet) => void received.push(Buffer.from(packet)), error() {} },
  });
  cleanups.push(() => socket.close());
  return { received, send: (packet: Buffer) => socket.send(packet) };
}

async function tcpClient(port: number) {
  const state = { received: Buffer.alloc(0), isClosed: false };
  const socket = await Bun.connect({
    hostname: HOST,
    port,
    socket: {
      data: (_socket, chunk) => void (state.received = Buffer.concat([state.received, chunk])),
      close: () => void (state.isClosed = true),
      error: () => {},
    },
  });
  cleanups.push(() => socket.terminate());
  return { state, write: (bytes: Buffer) => socket.write(bytes) };
}

function framed(...packets: Buffer[]): Buffer {
  return Buffer.concat(
    packets.flatMap((packet) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(packet.length);
      return [length, packet];
    }),
  );
}

/** The whole messages of a TCP stream. */
function messagesOf(stream: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 2 <= stream.length;) {
    const end = at + 2 + stream.readUInt16BE(at);
    if (end > stream.length) break;
    messages.push(stream.subarray(at + 2, end));
    at = end;
  }
  return messages;
}

describe("answers by UDP", () => {
  test("each question gets its own, in whatever order they become known", async () => {
    const { port, waiting } = await serve();
    const client = await udpClient(port);
    client.send(aQuestion("far.example", { id: 1 }));
    await until("the question", () => waiting.length === 1);
    client.send(aQuestion("web", { id: 2 }));
    client.send(aQuestion("nothing", { id: 3 }));
    await until("two answers", () => client.received.length === 2);
    waiting[0]?.();
    await until("three answers", () => client.received.length === 3);
    const answers = client.received.map((packet) => `${decode(packet).id} ${answered(packet)}`);
    expect(answers).toEqual(["2 10.210.1.0", "3 NXDOMAIN", "1 192.0.2.1"]);
  });

  test("where nobody outside can be asked the answer is there at once", async () => {
    const { responder } = aResponder();
    const answer = responder.respond(aQuestion("nobody.example"), "127.0.0.1", "udp");
    expect(answered(answer instanceof Promise ? undefined : answer)).toBe("SERVFAIL");
  });

  test("who is not of the cluster gets no answer, not even that something is wrong", () => {
    const { responder } = aResponder();
    for (const packet of [aQuestion("web"), aQuestion("web").subarray(0, 14)]) {
      expect(responder.respond(packet, "192.0.2.1", "udp")).toBeUndefined();
    }
  });

  test("what is not answered to one client too many is answered to the next", () => {
    const { responder } = aResponder({ perSecond: 3, waitingMax: 1 });
    const ask = (asker: string) => responder.respond(aQuestion("web"), asker, "udp");
    const answers = [1, 2, 3, 4].map(() => ask("127.0.0.1") !== undefined);
    expect(answers).toEqual([true, true, true, false]);
    const next = ask("127.0.0.2");
    expect(answered(next instanceof Promise ? undefined : next)).toBe("10.210.1.0");
  });

  test("a client that waits for too much is refused more, until something has come", async () => {
    const { responder, waiting } = aResponder({ perSecond: 99, waitingMax: 1 });
    const ask = () => responder.respond(aQuestion("far.example"), "127.0.0.1", "udp");
    const first = ask();
    const second = ask();
    expect(answered(second instanceof Promise ? undefined : second)).toBe("SERVFAIL");
    waiting[0]?.();
    expect(answered(await first)).toBe("192.0.2.1");
    expect(ask()).toBeInstanceOf(Promise);
  });

  test("noise of every kind does not keep it from answering", async () => {
    const { port } = await serve();
    const client = await udpClient(port);
    const random = seededRandom("noise");
    for (let i = 0; i < 500; i++) {
      const noise = Buffer.from(
        Array.from({ length: randomBelow(random, 60) }, () => randomBelow(random, 256)),
      );
      client.send(noise);
      client.send(anAnswerTo(aQuestion("web")));
    }
    client.send(Buffer.alloc(65_000, 0xc0));
    client.send(aQuestion("web", { id: 4242 }));
    await until("the answer", () => {
      return client.received.some((packet) => packet.readUInt16BE(0) === 4242);
    });
  });
});

describe("answers by TCP", () => {
  test("what had no room in a datagram comes whole", async () => {
    const { port } = await serve();
    const udp = await udpClient(port);
    udp.send(aQuestion("many"));
    const cut = decode(await until("the part", () => udp.received[0]));
    expect(isTruncated(cut)).toBe(true);
    const client = await tcpClient(port);
    client.write(framed(aQuestion("many")));
    const [whole] = await until("the whole", () => {
      const messages = messagesOf(client.state.received);
      return messages.length === 1 ? messages : undefined;
    });
    expect(answered(whole).split(" ")).toHaveLength(200);
  });

  test("questions may come in pieces, and several in one", async () => {
    const { port } = await serve();
    const client = await tcpClient(port);
    const bytes = framed(aQuestion("web", { id: 1 }), aQuestion("web", { id: 2 }));
    for (const byte of framed(aQuestion("web", { id: 3 }))) client.write(Buffer.of(byte));
    client.write(bytes);
    await until("three answers", () => messagesOf(client.state.received).length === 3);
    const ids = messagesOf(client.state.received).map((packet) => packet.readUInt16BE(0));
    expect(ids).toEqual([3, 1, 2]);
  });

  test("a length that no question has ends the connection", async () => {
    const { port } = await serve();
    for (const length of [0, 11, 5000, 65_535]) {
      const client = await tcpClient(port);
      const header = Buffer.alloc(2);
      header.writeUInt16BE(length);
      client.write(header);
      await until("the end", () => client.state.isClosed);
    }
  });

  test("one that says nothing is closed, and so is one that drips", async () => {
    const { responder } = aResponder();
    const bounds = { connectionsMax: 9, perClientMax: 9, idleMs: 100 };
    const options = { host: HOST, port: 0, responder, clock: systemClock, bounds };
    const server = listenTcp(options);
    cleanups.push(() => server.close());
    const quiet = await tcpClient(server.port);
    const dripping = await tcpClient(server.port);
    await until("both are closed", () => {
      if (!dripping.state.isClosed) dripping.write(Buffer.of(0));
      return quiet.state.isClosed && dripping.state.isClosed;
    });
  });

  test("one client has so many connections, and each that ends makes room", async () => {
    const { responder } = aResponder();
    const bounds = { connectionsMax: 9, perClientMax: 2, idleMs: 10_000 };
    const options = { host: HOST, port: 0, responder, clock: systemClock, bounds };
    const server = listenTcp(options);
    cleanups.push(() => server.close());
    const works = async () => {
      const client = await tcpClient(server.port);
      client.write(framed(aQuestion("web")));
      await until("an answer or the end", () => {
        return client.state.isClosed || client.state.received.length > 0;
      });
      return { client, isAnswered: client.state.received.length > 0 };
    };
    const first = await works();
    const second = await works();
    const third = await works();
    const answers = [first, second, third].map(({ isAnswered }) => isAnswered);
    expect(answers).toEqual([true, true, false]);
    first.client.write(Buffer.of(0, 0));
    await until("the first is closed", () => first.client.state.isClosed);
    expect((await works()).isAnswered).toBe(true);
  });
});
