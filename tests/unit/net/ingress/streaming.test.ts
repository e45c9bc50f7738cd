import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { request } from "node:http";
import type { Socket } from "node:net";
import { seededRandom } from "../../../../src/lib/random.ts";
import { answerTo, ProxyRig, RawClient, statusOf, until } from "./rig.ts";

const MIB = 1024 * 1024;

let rig: ProxyRig;
beforeEach(() => (rig = new ProxyRig()));
afterEach(() => rig.close());

/** Bytes in which each place is another. */
function someBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761) >>> 0, i);
  return bytes;
}

function digest(bytes: Uint8Array | ArrayBuffer): string {
  return createHash("sha256").update(new Uint8Array(bytes)).digest("hex");
}

describe("a large body", () => {
  const body = someBytes(24 * MIB);

  test.each(["a length", "chunks"])("with %s comes down as it was sent", async (kind) => {
    rig.route([
      await rig.http((_req, res) => {
        if (kind === "a length") res.setHeader("content-length", body.length);
        for (let at = 0; at < body.length; at += MIB) res.write(body.subarray(at, at + MIB));
        res.end();
      }),
    ]);
    const response = await fetch(rig.url);
    expect(digest(await response.arrayBuffer())).toBe(digest(body));
  });

  test.each(["a length", "chunks"])("with %s goes up as it was sent", async (kind) => {
    rig.route([
      await rig.http((req, res) => {
        const hash = createHash("sha256");
        req.on("data", (bytes: Buffer) => hash.update(bytes));
        req.on("end", () => res.end(hash.digest("hex")));
      }),
    ]);
    const headers = kind === "a length" ? { "content-length": body.length } : {};
    const answer = await new Promise<string>((resolve, reject) => {
      const asking = request(rig.url, { method: "POST", headers }, (response) => {
        let text = "";
        response.on("data", (bytes: Buffer) => (text += bytes.toString()));
        response.on("end", () => resolve(text));
      });
      asking.on("error", reject);
      for (let at = 0; at < body.length; at += MIB) asking.write(body.subarray(at, at + MIB));
      asking.end();
    });
    expect(answer).toBe(digest(body));
  });

  test("waits at the task while the client does not read", async () => {
    let sent = 0;
    const port = await rig.raw((socket) => {
      socket.once("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
        const more = () => {
          while (sent < body.length) {
            const piece = body.subarray(sent, sent + 64 * 1024);
            sent += piece.length;
            if (!socket.write(piece)) return;
          }
        };
        socket.on("drain", more);
        more();
      });
    });
    rig.route([port]);
    const client = new RawClient(rig.port);
    client.socket.pause();
    client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await until("something was sent", () => sent > 0);
    let before = -1;
    // What fits into the kernel's buffers is sent, and then nothing more.
    await until("no more is sent", () => sent === before || ((before = sent), false));
    expect(sent).toBeLessThan(20 * MIB);
    client.socket.resume();
    const heard = await client.until((all) => all.length > body.length);
    const got = Buffer.from(heard.slice(heard.indexOf("\r\n\r\n") + 4), "latin1");
    expect(digest(got)).toBe(digest(body));
    client.socket.destroy();
  });

  test("waits at the client while the task does not read", async () => {
    const sockets: Socket[] = [];
    const port = await rig.raw((socket) => {
      socket.pause();
      sockets.push(socket);
    });
    rig.route([port]);
    const client = new RawClient(rig.port);
    client.say(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
    let sent = 0;
    let drained = true;
    client.socket.on("drain", () => (drained = true));
    const more = () => {
      while (drained && sent < body.length) {
        const piece = body.subarray(sent, sent + 64 * 1024);
        sent += piece.length;
        drained = client.socket.write(piece);
      }
      return sent;
    };
    let before = -1;
    await until("no more goes out", () => more() === before || ((before = sent), false));
    expect(sent).toBeLessThan(20 * MIB);
    let got = 0;
    sockets[0]?.on("data", (bytes: Buffer) => (got += bytes.length));
    sockets[0]?.resume();
    await until("all has come", () => more() === body.length && got > body.length);
    client.socket.destroy();
  });
});

describe("events", () => {
  test("come as they happen", async () => {
    let say = (_text: string): void => {};
    rig.route([
      await rig.http((_req, res) => {
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.flushHeaders();
        say = (text) => void res.write(`data: ${text}\n\n`);
      }),
    ]);
    const client = new RawClient(rig.port).say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until((heard) => heard.includes("event-stream"));
    for (const word of ["one", "two", "three"]) {
      // Nothing that happens while it is quiet ends the stream.
      rig.clock.skip(120_000);
      say(word);
      await client.until((heard) => heard.includes(`data: ${word}\n\n`));
    }
    client.socket.destroy();
  });
});

describe("a WebSocket", () => {
  test("carries messages both ways, large ones as well, and how it was closed", async () => {
    const random = seededRandom("messages");
    const server = Bun.serve<undefined>({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (req, self) => {
        const isMade = self.upgrade(req, { headers: { "x-from": "task" } });
        return isMade ? undefined : new Response("no", { status: 426 });
      },
      websocket: {
        message: (socket, message) => void socket.send(message),
        close: () => {},
      },
    });
    rig.onClose(() => void server.stop(true));
    rig.route([server.port ?? 0]);
    expect((await fetch(rig.url)).status).toBe(426);
    const socket = new WebSocket(rig.url.replace("http", "ws"));
    socket.binaryType = "arraybuffer";
    const got: string[] = [];
    socket.addEventListener("message", (event: MessageEvent<ArrayBuffer>) => {
      got.push(digest(event.data));
    });
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const sent = [1, 125, 126, 70_000, 3 * MIB].map((length) => {
      const bytes = someBytes(length + Math.floor(random.next() * 100));
      socket.send(bytes);
      return digest(bytes);
    });
    await until("all are back", () => got.length === sent.length);
    expect(got).toEqual(sent);
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(code));
    });
    socket.close(4321, "done");
    expect(await closed).toBe(4321);
    await until("it is over", () => rig.served.at(-1)?.status === 101);
  });

  test("lives on when its task gets no more requests", async () => {
    const port = await rig.raw((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello ");
        socket.on("data", (bytes: Buffer) => socket.write(bytes));
        socket.on("end", () => socket.end("bye"));
      });
    });
    rig.route([port]);
    const client = new RawClient(rig.port);
    client.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    await client.until((heard) => heard.endsWith("hello "));
    rig.route([]);
    rig.clock.skip(3_600_000);
    client.say("world ");
    await client.until((heard) => heard.endsWith("hello world "));
    client.socket.end();
    expect(await client.all()).toEndWith("hello world bye");
  });
});

describe("an answer that comes before the whole request", () => {
  test("reaches the client, which goes on sending", async () => {
    const text = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
    rig.route([await rig.answering(text)]);
    const client = new RawClient(rig.port);
    client.say(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MIB}\r\n\r\n`);
    for (let i = 0; i < 16; i++) client.say("x".repeat(1000));
    const heard = await client.all();
    expect(statusOf(heard)).toBe(403);
    expect(heard).toContain("\r\nConnection: close\r\n");
  });

  test("reaches it also from the proxy, for chunks that are too many", async () => {
    rig.route([await rig.http(() => {})], { maxBodyBytes: 100 });
    const asks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const answer = await answerTo(rig.port, `${asks}64\r\n${"x".repeat(100)}\r\n1\r\nx\r\n`);
    expect(statusOf(answer)).toBe(413);
  });
});

test("trailers do not reach the task", async () => {
  let heard = "";
  const port = await rig.raw((socket) => {
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      if (heard.endsWith("0\r\n\r\n")) {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
  });
  rig.route([port]);
  const asks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
  const answer = await answerTo(rig.port, `${asks}\r\n2\r\nab\r\n0\r\nX-Forwarded-For: 1\r\n\r\n`);
  expect(statusOf(answer)).toBe(200);
  expect(heard).toEndWith("\r\n\r\n2\r\nab\r\n0\r\n\r\n");
});
