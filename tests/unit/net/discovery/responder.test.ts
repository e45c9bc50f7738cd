import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createSocket, type Socket } from "node:dgram";
import { systemClock } from "../../../../src/lib/clock.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import {
  DATAGRAM_BYTES,
  decodeAnswer,
  encodeQuery,
  hintOf,
} from "../../../../src/net/discovery/message.ts";
import { openResponder, type Responder } from "../../../../src/net/discovery/responder.ts";
import { until } from "../../api/fixture.ts";

const caDigest = "0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk";
const ADDRESSES = ["192.0.2.1:6770"];

/** Asks a responder on loopback, without any group. */
class Asker {
  readonly answers: Buffer[] = [];
  readonly #socket: Socket;
  readonly #port: number;
  #asked = 0;

  constructor(port: number) {
    this.#port = port;
    this.#socket = createSocket("udp4");
    this.#socket.on("message", (datagram: Buffer) => void this.answers.push(datagram));
  }

  send(datagram: Buffer): void {
    this.#socket.send(datagram, this.#port, "127.0.0.1");
  }

  /** A nonce of its own for each question. */
  ask(key: string, digest = caDigest): Buffer {
    const nonce = Buffer.alloc(16, ++this.#asked);
    this.send(encodeQuery({ caDigest: digest, hint: hintOf(key), nonce }));
    return nonce;
  }

  close(): void {
    this.#socket.close();
  }
}

describe("a server that answers who looks for it", () => {
  let responder: Responder;
  let asker: Asker;
  beforeEach(async () => {
    responder = await openResponder({
      caDigest,
      keyOf: (hint) => ["token", "gossip"].find((key) => hintOf(key).equals(hint)),
      addresses: () => ADDRESSES,
      clock: systemClock,
      port: 0,
    });
    asker = new Asker(responder.port);
  });
  afterEach(() => {
    asker.close();
    responder.close();
  });

  test("proves its answer with the key that was meant, whichever it has", async () => {
    for (const key of ["gossip", "token"]) {
      const nonce = asker.ask(key);
      await until(() => asker.answers.length === 1);
      expect(decodeAnswer(asker.answers.pop() ?? Buffer.alloc(0), nonce, key)).toEqual(ADDRESSES);
    }
  });

  test("says nothing to who asks for another cluster, or with a key that it lacks", async () => {
    asker.ask("token", "z".repeat(52));
    asker.ask("revoked");
    const nonce = asker.ask("token");
    await until(() => asker.answers.length > 0);
    expect(asker.answers.map((answer) => decodeAnswer(answer, nonce, "token"))).toEqual([
      ADDRESSES,
    ]);
  });

  test("gives one address ten answers a second, each no longer than the question", async () => {
    for (let i = 0; i < 100; i++) asker.ask("token");
    await until(() => asker.answers.length >= 10);
    expect(asker.answers.every(({ length }) => length === DATAGRAM_BYTES)).toBe(true);
    expect(asker.answers.length).toBeLessThanOrEqual(20);
  });

  test("goes on after whatever datagrams", async () => {
    const random = seededRandom("responder");
    const query = encodeQuery({ caDigest, hint: hintOf("token"), nonce: Buffer.alloc(16) });
    for (let i = 0; i < 500; i++) {
      const noise = Buffer.from(query.subarray(0, Math.floor(random.next() * 512)));
      asker.send(noise);
      asker.send(Buffer.from(Array.from({ length: 512 }, () => Math.floor(random.next() * 256))));
    }
    // A question may be lost behind all of them.
    const nonces: Buffer[] = [];
    await until(() => nonces.push(asker.ask("token")) > 0 && asker.answers.length > 0);
    const answer = asker.answers[0] ?? Buffer.alloc(0);
    const told = nonces.map((nonce) => decodeAnswer(answer, nonce, "token"));
    expect(told).toContainEqual(ADDRESSES);
  });
});
