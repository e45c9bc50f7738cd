import { describe, expect, test } from "bun:test";
import { parseResponseHead } from "../../../../src/core/ingress/response-head.ts";

function parse(method: string, ...lines: string[]) {
  return parseResponseHead([...lines, "", ""].join("\r\n"), method);
}

describe("the head of an answer", () => {
  test("goes on without what belongs to the task's connection", () => {
    expect(
      parse(
        "GET",
        "HTTP/1.1 200 All right",
        "Connection: close",
        "Keep-Alive: timeout=5",
        "Content-Length: 3",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
      ),
    ).toEqual({
      status: 200,
      reason: "All right",
      keepsAlive: false,
      body: 3,
      lengthLine: "Content-Length: 3\r\n",
      upgrade: undefined,
      fields: "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
    });
  });

  test.each([
    ["GET", "200", [], "untilClose", ""],
    ["GET", "200", ["Content-Length: 0"], 0, "Content-Length: 0\r\n"],
    ["GET", "200", ["Transfer-Encoding: chunked"], "chunked", "Transfer-Encoding: chunked\r\n"],
    ["HEAD", "200", ["Content-Length: 9"], 0, "Content-Length: 9\r\n"],
    ["HEAD", "200", ["Transfer-Encoding: chunked"], 0, ""],
    ["GET", "304", ["Content-Length: 9"], 0, "Content-Length: 9\r\n"],
    ["GET", "204", ["Content-Length: 9"], 0, ""],
    ["GET", "100", ["Content-Length: 9"], 0, ""],
  ] as const)(
    "of %s with %s and %p has a body of %p",
    (method, status, lines, body, lengthLine) => {
      expect(parse(method, `HTTP/1.1 ${status} x`, ...lines)).toMatchObject({ body, lengthLine });
    },
  );

  test("that two programs could read differently is none", () => {
    expect(parse("GET", "HTTP/1.1 200", "Content-Length: 1", "Content-Length: 2")).toBeUndefined();
    expect(
      parse("GET", "HTTP/1.1 200", "Content-Length: 1", "Transfer-Encoding: chunked"),
    ).toBeUndefined();
    expect(parse("GET", "HTTP/1.1 200", "a: b\nc: d")).toBeUndefined();
    expect(parse("GET", "HTTP/1.1 200", "a: b", " c")).toBeUndefined();
    expect(parse("GET", "HTTP/1.1 0200")).toBeUndefined();
    expect(parse("GET", "HTTP/2 200")).toBeUndefined();
    expect(parse("GET", "SSH-2.0-x")).toBeUndefined();
  });
});
