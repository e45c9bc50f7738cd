import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/lib/random.ts";
import { answerTo, ProxyRig, RawClient, statusOf, until } from "./rig.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

let rig: ProxyRig;
/** All that tasks were sent. */
let heard = "";
beforeEach(() => {
  rig = new ProxyRig();
  heard = "";
});
afterEach(() => rig.close());

/** A task that keeps what it hears, and answers each piece. */
async function routeToListener(): Promise<void> {
  const port = await rig.raw((socket) => {
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      socket.write(OK);
    });
  });
  rig.route([port]);
}

describe("a client that tries to hide a request in another one", () => {
  const HIDDEN = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
  const head = (...lines: string[]) =>
    ["POST / HTTP/1.1", "Host: a", ...lines, "", ""].join("\r\n");

  test.each([
    [
      "a length and chunks",
      head("Content-Length: 4", "Transfer-Encoding: chunked") + `0\r\n\r\n${HIDDEN}`,
    ],
    ["chunks that are spelt badly", head("Transfer-Encoding: xchunked") + HIDDEN],
    ["a coding with a tab", head("Transfer-Encoding:\tchunked, identity") + HIDDEN],
    ["a space before the colon", head("Content-Length : 4") + HIDDEN],
    ["a folded length", head("Content-Length:", " 4") + HIDDEN],
    ["a bare line feed", `POST / HTTP/1.1\r\nHost: a\nContent-Length: 4\r\n\r\n${HIDDEN}`],
    ["a bare carriage return", head("X: y\rContent-Length: 40") + HIDDEN],
    ["two lengths", head("Content-Length: 0", "Content-Length: 40") + HIDDEN],
    [
      "a length that goes with the connection",
      head("Connection: Content-Length", "Content-Length: 9") + HIDDEN,
    ],
  ])("by %s is refused and never passed on", async (_title, text) => {
    await routeToListener();
    expect(statusOf(await answerTo(rig.port, text))).toBeWithin(400, 502);
    expect(heard).toBe("");
  });

  test("by chunks that are none is cut off in the middle", async () => {
    await routeToListener();
    const text = `${head("Transfer-Encoding: chunked")}3\r\nabcd\r\n0\r\n\r\n${HIDDEN}`;
    await answerTo(rig.port, text);
    expect(heard).not.toContain("hidden");
  });

  test("behind a body of the length that it says is that of a second request", async () => {
    await routeToListener();
    const answer = await answerTo(rig.port, `${head("Content-Length: 4")}body${GET}`);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(heard.match(/X-Forwarded-For/g)).toHaveLength(2);
  });

  test("behind a change of protocol that the task does not make, hides nothing", async () => {
    await routeToListener();
    const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    const client = new RawClient(rig.port).say(`${upgrade}${HIDDEN}`);
    await client.until((all) => all.split("ok").length === 3);
    client.socket.destroy();
    expect(heard.match(/X-Forwarded-For/g)).toHaveLength(2);
  });
});

describe("a client that is slow on purpose", () => {
  test("with its head is told so, and without a byte of it is left", async () => {
    await routeToListener();
    const [slow, silent] = [
      new RawClient(rig.port).say("GET / HTTP/1.1\r\n"),
      new RawClient(rig.port),
    ];
    await until("both are there", () => rig.proxy.connections === 2);
    slow.say("Host: a\r\n");
    rig.clock.skip(16_000);
    expect(statusOf(await slow.all())).toBe(408);
    expect(await silent.all()).toBe("");
    rig.clock.skip(4000);
    await until("nobody is left", () => rig.proxy.connections === 0);
  });

  test("drop by drop, has no more time for it", async () => {
    await routeToListener();
    const client = new RawClient(rig.port);
    const drop = () => {
      client.say("G");
      rig.clock.skip(500);
      return client.isOver;
    };
    await until("it is left", drop);
    expect(statusOf(await client.all())).toBe(408);
  });

  test("with its body is told so", async () => {
    rig.route([await rig.raw(() => {})], { timeoutMs: 1000 });
    const client = new RawClient(rig.port);
    client.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    await until("it is there", () => rig.proxy.connections === 1);
    rig.clock.skip(31_000);
    expect(statusOf(await client.all())).toBe(408);
  });

  test("to read is left", async () => {
    const body = "x".repeat(20 * 1024 * 1024);
    rig.route([
      await rig.answering(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    ]);
    const client = new RawClient(rig.port);
    client.socket.pause();
    client.say(GET);
    await until(
      "the answer is on its way",
      () => client.socket.bytesRead >= 0 && rig.proxy.connections === 1,
    );
    let isGone = false;
    client.socket.on("close", () => (isGone = true));
    await until("it is left", () => (rig.clock.skip(20_000), rig.proxy.connections === 0));
    client.socket.resume();
    await until("it knows", () => isGone || client.isOver);
    expect(client.heard.length).toBeLessThan(body.length);
  });

  test("between requests is left without a word", async () => {
    await routeToListener();
    const client = new RawClient(rig.port).say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until((all) => all.endsWith("ok"));
    rig.clock.skip(76_000);
    expect(await client.all()).toEndWith("ok");
  });
});

describe("too much", () => {
  test("of a head is refused, be it a line or many", async () => {
    await routeToListener();
    const long = `GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const many = `GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(10_000)}\r\n`;
    const endless = `GET / HTTP/1.1\r\nX: ${"a".repeat(200_000)}`;
    for (const text of [long, many, endless]) {
      expect(statusOf(await answerTo(rig.port, text))).toBe(431);
    }
    expect(heard).toBe("");
  });

  test("that comes ahead of its turn waits in the client", async () => {
    let answer: (() => void) | undefined;
    const port = await rig.raw((socket) => {
      socket.once("data", () => (answer = () => void socket.write(OK)));
    });
    rig.route([port]);
    const client = new RawClient(rig.port).say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await until("the task is asked", () => answer !== undefined);
    let sent = 0;
    let drained = true;
    client.socket.on("drain", () => (drained = true));
    const more = () => {
      while (drained && sent < 50_000_000) {
        sent += 65_536;
        drained = client.socket.write("x".repeat(65_536));
      }
      return sent;
    };
    let before = -1;
    await until("no more goes out", () => more() === before || ((before = sent), false));
    expect(sent).toBeLessThan(20_000_000);
    answer?.();
    await client.until((all) => all.includes("ok") && all.includes("431 Request"));
    client.socket.destroy();
  });

  test("of clients: one that waits makes room for one that asks", async () => {
    rig.close();
    rig = new ProxyRig({ connectionsMax: 10 });
    await routeToListener();
    const waiting = Array.from({ length: 10 }, () => new RawClient(rig.port));
    await until("all are there", () => rig.proxy.connections === 10);
    for (let i = 0; i < 5; i++) expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    expect(waiting.filter((client) => client.isOver).length).toBeWithin(1, 6);
    for (const client of waiting) client.socket.destroy();
  });
});

describe("noise", () => {
  /** Bytes of all kinds, with pieces among them that mean something. */
  function noise(seed: string): string {
    const random = seededRandom(seed);
    const pieces = [
      "GET / HTTP/1.1\r\nHost: a\r\n",
      "POST /x HTTP/1.1\r\nHost: a\r\n",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 101 X\r\nUpgrade: y\r\nConnection: upgrade\r\n",
      "Content-Length: 7\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: upgrade\r\nUpgrade: y\r\n",
      "Expect: 100-continue\r\n",
      "HTTP/1.1 100 C\r\n\r\n",
      "\r\n",
      "\r\n\r\n",
      "5\r\nhello\r\n",
      "0\r\n\r\n",
    ];
    let text = "";
    const count = 1 + Math.floor(random.next() * 10);
    for (let i = 0; i < count; i++) {
      if (random.next() < 0.85) text += pieces[Math.floor(random.next() * pieces.length)];
      else text += String.fromCharCode(...Array.from({ length: 20 }, () => random.next() * 256));
    }
    return text;
  }

  test("from clients and tasks at once harms nobody who asks properly", async () => {
    let count = 0;
    const loud = await rig.raw((socket) => {
      socket.on("data", () => {
        socket.write(noise(`task ${count++}`), "latin1");
        if (count % 3 === 0) socket.destroy();
      });
    });
    const good = await rig.answeringEach(OK);
    rig.routes([
      { ports: [loud], rule: { host: "a" } },
      { ports: [good], rule: { host: "good" } },
    ]);
    for (let round = 0; round < 40; round++) {
      const clients = Array.from({ length: 10 }, (_, i) => {
        const client = new RawClient(rig.port).say(noise(`client ${round} ${i}`));
        return client.say(noise(`more ${round} ${i}`));
      });
      const asked = GET.replace("Host: a", "Host: good");
      expect(await answerTo(rig.port, asked)).toEndWith("ok");
      for (const [i, client] of clients.entries()) {
        if (i % 2 === 0) client.socket.end();
        else client.socket.destroy();
      }
    }
    await until(
      "no connection is left",
      () => (rig.clock.skip(10_000), rig.proxy.connections === 0),
    );
  });
});
