import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { aDeadPort, answerTo, ProxyRig, RawClient, statusOf, until } from "./rig.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

function post(body: string): string {
  const head = `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}`;
  return `${head}\r\n\r\n${body}`;
}

let rig: ProxyRig;
beforeEach(() => (rig = new ProxyRig()));
afterEach(() => rig.close());

/** A task that takes every request and answers each connection's requests with what it is told. */
async function aTask(onRequest: (socket: Socket, count: number) => void) {
  const task = { requests: 0, connections: 0, heard: "", port: 0 };
  task.port = await rig.raw((socket) => {
    task.connections += 1;
    socket.on("data", (bytes: Buffer) => {
      task.requests += 1;
      task.heard += bytes.toString("latin1");
      onRequest(socket, task.requests);
    });
  });
  return task;
}

describe("what a client is told", () => {
  test("of a host that no service has is 404, on a connection that goes on", async () => {
    rig.route([await rig.answering(OK)], { host: "known.example" });
    const client = new RawClient(rig.port);
    client.say("GET / HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
    await client.until((heard) => statusOf(heard) === 404);
    client.say("GET / HTTP/1.1\r\nHost: Known.example.\r\n\r\n");
    await client.until((heard) => heard.endsWith("ok"));
    client.socket.destroy();
  });

  test("of a HEAD for a host that no service has, has no body", async () => {
    const answer = await answerTo(
      rig.port,
      "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/9\r\n\r\n",
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 404", "HTTP/1.1 400"]);
    expect(answer).toContain("\r\n\r\nHTTP/1.1 400");
  });

  test("of a service without a ready task is 503", async () => {
    rig.route([]);
    expect(statusOf(await answerTo(rig.port, GET))).toBe(503);
  });

  test("of a task that takes no connections is 502", async () => {
    rig.route([await aDeadPort()]);
    const answer = await answerTo(rig.port, GET);
    expect(answer).toContain("502 Bad Gateway: no task could be reached\n");
  });

  test("of a task that says nothing is 504, after the rule's time", async () => {
    let isAsked = false;
    const task = await rig.raw((socket) => void socket.once("data", () => (isAsked = true)));
    rig.route([task], { timeoutMs: 5000 });
    const client = new RawClient(rig.port).say(GET);
    await until("the task is asked", () => isAsked);
    rig.clock.skip(4000);
    await client.until(() => true);
    expect(client.heard).toBe("");
    rig.clock.skip(2000);
    expect(statusOf(await client.all())).toBe(504);
  });

  test("of a body that is too large is 413, and the task never hears of it", async () => {
    const task = await aTask(() => {});
    rig.route([task.port], { maxBodyBytes: 3 });
    expect(statusOf(await answerTo(rig.port, post("abcd")))).toBe(413);
    expect(task.connections).toBe(0);
  });

  test("who comes over plain HTTP, where that leads to HTTPS, is the way there", async () => {
    const task = await aTask((socket) => socket.write(OK));
    rig.route([task.port], { host: "a", redirect: true, tls: "cluster" });
    // While nobody is taken over HTTPS, the way would lead nowhere.
    expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    rig.proxy.setHttpsPort(8443);
    const answer = await answerTo(rig.port, GET);
    expect(answer).toStartWith("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a:8443/\r\n");
    expect(task.requests).toBe(1);
  });
});

describe("a task that takes no connections", () => {
  test("costs no request while another one does, whatever is asked", async () => {
    const task = await aTask((socket) => socket.end(OK));
    rig.route([await aDeadPort(), await aDeadPort(), task.port]);
    for (let i = 0; i < 10; i++) {
      expect(statusOf(await answerTo(rig.port, post(`body${i}`)))).toBe(200);
    }
    expect(task.requests).toBe(10);
    expect(task.heard).toEndWith("\r\n\r\nbody9");
  });

  test("is left alone for some seconds, and then asked again", async () => {
    const good = await aTask((socket) => socket.end(OK));
    const dead = await aDeadPort();
    rig.route([dead, good.port]);
    for (let i = 0; i < 10; i++) await answerTo(rig.port, GET);
    const revived = await rig.listen(dead, (socket) => socket.once("data", () => socket.end(OK)));
    for (let i = 0; i < 10; i++) await answerTo(rig.port, GET);
    expect(good.requests).toBe(20);
    rig.clock.skip(6000);
    for (let i = 0; i < 20; i++) await answerTo(rig.port, GET);
    expect(good.requests).toBeLessThan(40);
    expect(revived.count).toBeGreaterThan(0);
  });
});

describe("a task that ends the connection without an answer", () => {
  test("costs no request that may be sent twice", async () => {
    const bad = await aTask((socket) => socket.destroy());
    const good = await aTask((socket) => socket.end(OK));
    rig.route([bad.port, good.port]);
    for (let i = 0; i < 20; i++) expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    expect(bad.requests).toBeGreaterThan(0);
  });

  test("costs each request that may not, once", async () => {
    const bad = await aTask((socket) => socket.destroy());
    rig.route([bad.port]);
    expect(statusOf(await answerTo(rig.port, post("x")))).toBe(502);
    expect(bad.requests).toBe(1);
  });

  test("costs a request at most three tries", async () => {
    const bad = await aTask((socket) => socket.destroy());
    rig.route([bad.port]);
    expect(statusOf(await answerTo(rig.port, GET))).toBe(502);
    expect(bad.requests).toBe(3);
  });
});

describe("a task that dies in the middle of its answer", () => {
  const middles = {
    head: "HTTP/1.1 200 OK\r\nContent-",
    "short body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
  };
  for (const [what, middle] of Object.entries(middles)) {
    test(`, in its ${what}, costs no request that may be sent twice`, async () => {
      const bad = await aTask((socket) => socket.end(middle));
      const good = await aTask((socket) => socket.end(OK));
      rig.route([bad.port, good.port]);
      for (let i = 0; i < 20; i++) expect(await answerTo(rig.port, GET)).toEndWith("\r\n\r\nok");
      expect(bad.requests).toBeGreaterThan(0);
    });
  }

  test("costs a request that may not, and it is not sent again", async () => {
    const bad = await aTask((socket) => socket.end(middles["short body"]));
    rig.route([bad.port]);
    expect(await answerTo(rig.port, post("x"))).toEndWith("half");
    expect(bad.requests).toBe(1);
  });

  test("that is long costs the request: some of it has gone out", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n";
    const bad = await aTask((socket) => socket.end(`${head}half`));
    rig.route([bad.port]);
    expect(await answerTo(rig.port, GET)).toEndWith("half");
    expect(bad.requests).toBe(1);
  });

  test("costs a request at most three tries", async () => {
    const bad = await aTask((socket) => socket.end(middles["short body"]));
    rig.route([bad.port]);
    expect(statusOf(await answerTo(rig.port, GET))).toBe(502);
    expect(bad.requests).toBe(3);
  });
});

describe("a connection that was kept", () => {
  test("and that the task closes meanwhile costs nothing", async () => {
    const sockets: Socket[] = [];
    const task = await aTask((socket) => {
      sockets.push(socket);
      socket.write(OK);
    });
    rig.route([task.port]);
    expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    sockets[0]?.destroy();
    expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    expect(task.connections).toBe(2);
  });

  test("is not used for what can't be sent twice when it was quiet for long", async () => {
    const task = await aTask((socket) => socket.write(OK));
    rig.route([task.port]);
    await answerTo(rig.port, GET);
    rig.clock.skip(2000);
    await answerTo(rig.port, post("x"));
    expect(task.connections).toBe(2);
    await answerTo(rig.port, GET);
    expect(task.connections).toBe(2);
  });

  test("is closed when the task gets no more requests", async () => {
    let open = 0;
    const port = await rig.raw((socket) => {
      open += 1;
      socket.on("data", () => socket.write(OK));
      socket.on("end", () => {
        open -= 1;
        socket.end();
      });
    });
    rig.route([port]);
    await answerTo(rig.port, GET);
    expect(open).toBe(1);
    rig.route([await aDeadPort()]);
    await until("it is closed", () => open === 0);
  });

  test("on which something comes that nobody asked for is not used again", async () => {
    const task = await aTask((socket) => socket.write(`${OK}HTTP/1.1 200 OK\r\nX: evil\r\n\r\n`));
    rig.route([task.port]);
    for (let i = 0; i < 3; i++) expect(await answerTo(rig.port, GET)).not.toContain("evil");
    expect(task.connections).toBe(3);
  });
});

describe("a task that goes while it answers", () => {
  test("brings its answer to the end, and new requests go elsewhere", async () => {
    let finish = (): void => {};
    const old = await aTask((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfir");
      finish = () => void socket.end("st.");
    });
    const young = await aTask((socket) => socket.end(OK));
    rig.route([old.port]);
    const client = new RawClient(rig.port).say(GET);
    await client.until((heard) => heard.endsWith("fir"));
    rig.route([young.port]);
    expect(await answerTo(rig.port, GET)).toEndWith("ok");
    finish();
    expect(await client.all()).toEndWith("first.");
  });

  test("without an answer is followed by the one that has its place", async () => {
    const young = await aTask((socket) => socket.end(OK));
    const old = await aTask((socket) => {
      rig.route([young.port]);
      socket.destroy();
    });
    rig.route([old.port]);
    expect(statusOf(await answerTo(rig.port, GET))).toBe(200);
    expect([old.requests, young.requests]).toEqual([1, 1]);
  });
});

test("a client stays with its task, and gets another one when that is gone", async () => {
  const tasks = await Promise.all(
    [1, 2, 3].map((n) => rig.answeringEach(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${n}`)),
  );
  rig.route(tasks, { sticky: true });
  const first = await answerTo(rig.port, GET);
  const cookie = /^Set-Cookie: ([^;]+);/m.exec(first)?.[1] ?? "";
  const ask = () => answerTo(rig.port, GET.replace("\r\n\r\n", `\r\nCookie: ${cookie}\r\n\r\n`));
  for (let i = 0; i < 10; i++) {
    const again = await ask();
    expect(again).not.toContain("Set-Cookie");
    expect(again.at(-1)).toBe(first.at(-1) ?? "");
  }
  rig.route(
    tasks.filter((port) => !cookie.includes(String(port))),
    { sticky: true },
  );
  expect(await ask()).toContain("Set-Cookie: ");
});
