import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/lib/random.ts";
import { parseRequestHead, type RequestHead } from "../../../../src/core/ingress/request-head.ts";

function parse(...lines: string[]) {
  return parseRequestHead([...lines, "", ""].join("\r\n"));
}

function taken(...lines: string[]): RequestHead {
  const head = parse(...lines);
  if ("status" in head) throw new Error(`refused: ${head.why}`);
  return head;
}

describe("the head of a request", () => {
  test("is read as far as routing and passing on need it", () => {
    expect(
      taken(
        "POST /a/b?c=d HTTP/1.1",
        "Host: Shop.Example.org:8080",
        "Content-Length: 12",
        "Cookie: a=1",
        "Accept: */*",
      ),
    ).toEqual({
      method: "POST",
      target: "/a/b?c=d",
      path: "/a/b",
      host: "shop.example.org",
      authority: "Shop.Example.org:8080",
      isHttp11: true,
      keepsAlive: true,
      body: 12,
      lengthLine: "Content-Length: 12\r\n",
      upgrade: undefined,
      cookie: "a=1",
      fields: "Cookie: a=1\r\nAccept: */*\r\n",
    });
  });

  test("loses what belongs to the client's connection, and what it claims of its way", () => {
    const { fields, keepsAlive } = taken(
      "GET / HTTP/1.1",
      "Host: a",
      "X-First: 1",
      "Connection: close, X-Mine",
      "X-Mine: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Authorization: Basic x",
      "TE: trailers",
      "X-Forwarded-For: 192.0.2.1",
      "x-forwarded-proto: https",
      "Forwarded: for=192.0.2.1",
      "X-Real-IP: 192.0.2.1",
      "X-Last: 2",
    );
    expect(fields).toBe("X-First: 1\r\nX-Last: 2\r\n");
    expect(keepsAlive).toBe(false);
  });

  test("may name the host in its target, which counts then", () => {
    const { host, authority, target } = taken("GET http://b.example?x HTTP/1.1", "Host: a");
    expect({ host, authority, target }).toEqual({
      host: "b.example",
      authority: "b.example",
      target: "/?x",
    });
  });

  test("asks for another protocol where it says so twice, and never for HTTP/2 without TLS", () => {
    const asks = (protocol: string, connection = "keep-alive, Upgrade") =>
      taken("GET / HTTP/1.1", "Host: a", `Connection: ${connection}`, `Upgrade: ${protocol}`)
        .upgrade;
    expect(asks("websocket")).toBe("websocket");
    expect(asks("websocket", "close")).toBeUndefined();
    expect(asks("h2c")).toBeUndefined();
    expect(asks("websocket, h2c")).toBeUndefined();
  });

  test("of HTTP/1.0 needs no host, and closes unless it says otherwise", () => {
    expect(taken("GET / HTTP/1.0")).toMatchObject({ host: "", keepsAlive: false });
    expect(taken("GET / HTTP/1.0", "Connection: Keep-Alive").keepsAlive).toBe(true);
  });
});

describe("the head of a hostile request", () => {
  const HOST = "Host: a";
  const REFUSED: [title: string, status: number, lines: string[]][] = [
    ["two lengths", 400, ["POST / HTTP/1.1", HOST, "Content-Length: 1", "Content-Length: 1"]],
    ["a list of lengths", 400, ["POST / HTTP/1.1", HOST, "Content-Length: 1, 1"]],
    ["a negative length", 400, ["POST / HTTP/1.1", HOST, "Content-Length: -1"]],
    ["a length with a sign", 400, ["POST / HTTP/1.1", HOST, "Content-Length: +1"]],
    ["a length in hexadecimal", 400, ["POST / HTTP/1.1", HOST, "Content-Length: 0x1"]],
    ["an empty length", 400, ["POST / HTTP/1.1", HOST, "Content-Length:"]],
    ["a huge length", 400, ["POST / HTTP/1.1", HOST, "Content-Length: 99999999999999999999"]],
    [
      "a length beside chunks",
      400,
      ["POST / HTTP/1.1", HOST, "Content-Length: 1", "Transfer-Encoding: chunked"],
    ],
    [
      "chunks beside a length",
      400,
      ["POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", "Content-Length: 1"],
    ],
    [
      "chunks twice",
      400,
      ["POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ],
    ["an unknown coding", 501, ["POST / HTTP/1.1", HOST, "Transfer-Encoding: gzip, chunked"]],
    ["a coding after chunks", 501, ["POST / HTTP/1.1", HOST, "Transfer-Encoding: chunked, x"]],
    ["a misspelt coding", 501, ["POST / HTTP/1.1", HOST, "Transfer-Encoding: xchunked"]],
    ["a quoted coding", 501, ["POST / HTTP/1.1", HOST, 'Transfer-Encoding: "chunked"']],
    ["chunks in HTTP/1.0", 400, ["POST / HTTP/1.0", HOST, "Transfer-Encoding: chunked"]],
    ["a space before the colon", 400, ["POST / HTTP/1.1", HOST, "Transfer-Encoding : chunked"]],
    ["a folded line", 400, ["GET / HTTP/1.1", HOST, "X: a", " b"]],
    ["a line folded by a tab", 400, ["GET / HTTP/1.1", HOST, "X: a", "\tb"]],
    ["a folded first line", 400, ["GET / HTTP/1.1", " Host: a"]],
    ["a bare line feed", 400, ["GET / HTTP/1.1", HOST, "X: a\nTransfer-Encoding: chunked"]],
    ["a bare carriage return", 400, ["GET / HTTP/1.1", HOST, "X: a\rb"]],
    ["a NUL", 400, ["GET / HTTP/1.1", HOST, "X: a\0b"]],
    ["a NUL in the path", 400, ["GET /a\0b HTTP/1.1", HOST]],
    ["an escape character", 400, ["GET / HTTP/1.1", HOST, "X: \u001b[2J"]],
    ["a line without a colon", 400, ["GET / HTTP/1.1", HOST, "nonsense"]],
    ["a name that is none", 400, ["GET / HTTP/1.1", HOST, "a b: c"]],
    ["an empty name", 400, ["GET / HTTP/1.1", HOST, ": c"]],
    ["no host", 400, ["GET / HTTP/1.1"]],
    ["two hosts", 400, ["GET / HTTP/1.1", HOST, "Host: b"]],
    ["a host with a user", 400, ["GET / HTTP/1.1", "Host: a@b"]],
    ["a host with a path", 400, ["GET / HTTP/1.1", "Host: a/b"]],
    ["a target with a user", 400, ["GET http://a@b/ HTTP/1.1", HOST]],
    ["a host with a port that is none", 400, ["GET / HTTP/1.1", "Host: a:b"]],
    ["no version", 400, ["GET /"]],
    ["two spaces", 400, ["GET  / HTTP/1.1", HOST]],
    ["a version of another protocol", 505, ["PRI * HTTP/2.0"]],
    ["a method that is none", 400, ["G(T / HTTP/1.1", HOST]],
    ["a tunnel", 400, ["CONNECT b:443 HTTP/1.1", HOST]],
    ["no path", 400, ["OPTIONS * HTTP/1.1", HOST]],
    ["a fragment", 400, ["GET /a#b HTTP/1.1", HOST]],
    ["a way up", 400, ["GET /a/../b HTTP/1.1", HOST]],
    ["an encoded way up", 400, ["GET /a/%2e%2E/b HTTP/1.1", HOST]],
    ["a way up behind an encoded slash", 400, ["GET /a%2f..%2fb HTTP/1.1", HOST]],
    ["a way up behind a backslash", 400, ["GET /a\\..\\b HTTP/1.1", HOST]],
    ["a way up at the end", 400, ["GET /a/.. HTTP/1.1", HOST]],
    ["a NUL in disguise", 400, ["GET /a%00b HTTP/1.1", HOST]],
    ["another expectation", 417, ["POST / HTTP/1.1", HOST, "Expect: 200-maybe"]],
    [
      "a connection that would lose the length",
      400,
      ["POST / HTTP/1.1", HOST, "Content-Length: 4", "Connection: Content-Length"],
    ],
    ["too many fields", 431, ["GET / HTTP/1.1", HOST, ...Array(200).fill("a: b")]],
  ];

  test.each(REFUSED)("with %s is refused", (_title, status, lines) => {
    expect(parse(...lines)).toMatchObject({ status });
  });

  test("made of random pieces is taken or refused, and goes on without a second meaning", () => {
    const random = seededRandom("heads");
    const pieces = [
      ..."\r\n\t :,/%.?#a1\0\u00ff".split(""),
      "\r\n",
      "\r\n\r\n",
      "GET / HTTP/1.1\r\n",
      "Host: a\r\n",
      "Content-Length: 5\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: ",
      "X: y\r\n",
    ];
    let taken = 0;
    for (let i = 0; i < 20_000; i++) {
      let text = random.next() < 0.8 ? "GET / HTTP/1.1\r\nHost: a\r\n" : "";
      const count = Math.floor(random.next() * 8);
      for (let n = 0; n < count; n++) text += pieces[Math.floor(random.next() * pieces.length)];
      const head = parseRequestHead(`${text}\r\n\r\n`);
      if ("status" in head) continue;
      taken += 1;
      expect(head.fields).toMatch(/^(?:[^\r\n:\s]+:[^\r\n\0]*\r\n)*$/);
      expect(head.fields).not.toMatch(/^(content-length|transfer-encoding|host|connection):/im);
    }
    expect(taken).toBeGreaterThan(1000);
  });
});
