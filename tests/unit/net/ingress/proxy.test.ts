import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { request } from "node:http";
import { anId } from "../../../builders.ts";
import { answerTo, failureOf, ProxyRig, RawClient, statusOf, until } from "./rig.ts";

let rig: ProxyRig;
beforeEach(() => (rig = new ProxyRig()));
afterEach(() => rig.close());

describe("a request", () => {
  test("reaches the task with who asked and how, and the answer comes back", async () => {
    const seen: unknown[] = [];
    rig.route([
      await rig.http((req, res) => {
        const { host, "x-forwarded-for": from, "x-forwarded-proto": proto } = req.headers;
        seen.push([req.method, req.url, host, from, proto]);
        res.writeHead(201, "Made", { "x-own": "1" });
        res.end("hello");
      }),
    ]);
    const response = await fetch(`${rig.url}/a?b=c`, {
      method: "PUT",
      body: "x",
      headers: { host: "shop.example.org", "x-forwarded-for": "8.8.8.8" },
    });
    expect([response.status, response.headers.get("x-own"), await response.text()]).toEqual([
      201,
      "1",
      "hello",
    ]);
    expect(seen).toEqual([["PUT", "/a?b=c", "shop.example.org", "127.0.0.1", "http"]]);
    expect(rig.served).toMatchObject([{ client: "127.0.0.1", path: "/a", status: 201, bytes: 5 }]);
  });

  test("is counted for its service, whatever becomes of it", async () => {
    rig.routes([
      { ports: [await rig.http((_, res) => res.end())], rule: { host: "a.example.org" } },
      { ports: [], rule: { host: "b.example.org" } },
    ]);
    for (const host of ["a.example.org", "a.example.org", "b.example.org", "c.example.org"]) {
      await fetch(rig.url, { headers: { host } });
    }
    expect(rig.proxy.requests()).toEqual({ [anId("web0")]: 2, [anId("web1")]: 1 });
    rig.routes([]);
    expect(rig.proxy.requests()).toEqual({});
  });

  test("shares its connections, on both sides, with those after it", async () => {
    const ports = new Set<number | undefined>();
    rig.route([
      await rig.http((req, res) => {
        ports.add(req.socket.remotePort);
        res.end(req.url);
      }),
    ]);
    const client = new RawClient(rig.port);
    for (let i = 0; i < 20; i++) {
      client.say(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await client.until((heard) => heard.endsWith(`\r\n\r\n/${i}`));
    }
    client.socket.destroy();
    expect(ports.size).toBe(1);
  });

  test("that is sent before the one before it is answered is answered after it", async () => {
    const port = await rig.http((req, res) => {
      setImmediate(() => res.end(`[${req.url}]`));
    });
    rig.route([port]);
    const lines = [1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: a\r\n`);
    const last = `${lines[2]}Connection: close\r\n\r\n`;
    const answer = await answerTo(rig.port, `\r\n${lines[0]}\r\n${lines[1]}\r\n${last}`);
    expect(answer.match(/\[.*?\]/g)).toEqual(["[/1]", "[/2]", "[/3]"]);
  });

  test("of HTTP/1.0 is answered without chunks", async () => {
    rig.route([
      await rig.http((_req, res) => {
        res.write("in two ");
        res.end("parts");
      }),
    ]);
    const answer = await answerTo(rig.port, "GET / HTTP/1.0\r\n\r\n");
    expect(answer).toEndWith("\r\n\r\nin two parts");
    expect(answer).not.toContain("chunked");
  });

  test("goes to the service with the longest path, without that path if it wants so", async () => {
    const echo = (name: string) => rig.http((req, res) => void res.end(`${name} ${req.url}`));
    const [shop, api] = await Promise.all([echo("shop"), echo("api")]);
    rig.routes([
      { ports: [shop], rule: { host: "*" } },
      { ports: [api], rule: { host: "*", path: "/api", strip: true } },
    ]);
    const get = async (path: string) => (await fetch(`${rig.url}${path}`)).text();
    expect(await get("/apis")).toBe("shop /apis");
    expect(await get("/api")).toBe("api /");
    expect(await get("/api/x?y")).toBe("api /x?y");
  });
});

describe("an answer", () => {
  test("without a body ends where its head does", async () => {
    rig.route([
      await rig.http((req, res) => {
        const status = Number(req.url?.slice(1));
        res.writeHead(status, { "content-length": "5" });
        res.end(req.method === "HEAD" || status !== 200 ? undefined : "hello");
      }),
    ]);
    const asks = ["HEAD /200", "GET /304", "GET /200"];
    const text = asks.map((ask) => `${ask} HTTP/1.1\r\nHost: a\r\n\r\n`).join("");
    const client = new RawClient(rig.port).say(text);
    const heard = await client.until((all) => all.endsWith("hello"));
    client.socket.destroy();
    expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual([
      "HTTP/1.1 200",
      "HTTP/1.1 304",
      "HTTP/1.1 200",
    ]);
  });

  test("that ends with its connection ends the client's", async () => {
    rig.route([await rig.answering("HTTP/1.1 200 OK\r\n\r\nuntil the end")]);
    const answer = await answerTo(rig.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(answer).toBe("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
  });

  test("that breaks off when some of it has gone out looks broken to the client", async () => {
    rig.route([await rig.answering("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\nhalf")]);
    expect(await failureOf(fetch(rig.url).then((response) => response.text()))).not.toBe("");
    rig.route([
      await rig.answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf"),
    ]);
    expect(await failureOf(fetch(rig.url).then((response) => response.text()))).not.toBe("");
  });

  test("before the answer is passed on", async () => {
    rig.route([
      await rig.answering(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
      ),
    ]);
    const client = new RawClient(rig.port).say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const heard = await client.until((all) => all.endsWith("ok"));
    client.socket.destroy();
    expect(heard).toStartWith("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n");
  });

  test.each([
    ["nonsense", "hello\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}`],
    [
      "a protocol that nobody asked for",
      "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ["nothing", ""],
  ])("that is %s becomes 502", async (_title, text) => {
    rig.route([await rig.answering(text)]);
    expect(statusOf(await answerTo(rig.port, "POST / HTTP/1.1\r\nHost: a\r\n\r\n"))).toBe(502);
  });
});

describe("a client that asks first whether its body is wanted", () => {
  test("is told by the task, and sends it then", async () => {
    rig.route([
      await rig.http((req, res) => {
        req.on("data", (bytes: Buffer) => res.write(bytes));
        req.on("end", () => res.end());
      }),
    ]);
    const asks = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    const client = new RawClient(rig.port).say(asks);
    await client.until((heard) => heard === "HTTP/1.1 100 Continue\r\n\r\n");
    client.say("body");
    expect(await client.until((heard) => heard.endsWith("0\r\n\r\n"))).toContain("\r\nbody\r\n");
    client.socket.destroy();
  });

  test("is told at once when the rule does not allow as much", async () => {
    rig.route([await rig.http((_req, res) => void res.end())], { maxBodyBytes: 3 });
    const asks = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    expect(statusOf(await answerTo(rig.port, asks))).toBe(413);
  });
});

describe("a client that leaves", () => {
  test("takes its request along, be it answered or not", async () => {
    let open = 0;
    rig.route([
      await rig.http((req, res) => {
        open += 1;
        req.on("close", () => (open -= 1));
        if (req.url === "/events") res.write("first");
      }),
    ]);
    for (const path of ["/silent", "/events"]) {
      const asking = request(`${rig.url}${path}`).on("error", () => {});
      asking.end();
      await until("the task has the request", () => open === 1);
      asking.destroy();
      await until("the task's request is closed", () => open === 0);
    }
    await until("no connection is left", () => rig.proxy.connections === 0);
  });
});
