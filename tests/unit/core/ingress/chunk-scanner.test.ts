import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../src/lib/random.ts";
import { ChunkScanner } from "../../../../src/core/ingress/chunk-scanner.ts";

/** What goes on of the pieces, what stands behind the body, and how it ended. */
function scan(pieces: readonly string[]) {
  const scanner = new ChunkScanner();
  let passed = "";
  let rest = "";
  for (const piece of pieces) {
    if (scanner.isDone) {
      rest += piece;
      continue;
    }
    scanner.scan(Buffer.from(piece, "latin1"));
    passed += piece.slice(0, scanner.passed);
    rest += piece.slice(scanner.consumed);
    if (scanner.isBroken) return "broken";
  }
  return { passed, rest, bytes: scanner.dataBytes, isDone: scanner.isDone };
}

describe("a body in chunks", () => {
  test("goes on as it is, and ends where its last chunk does", () => {
    expect(scan(["4\r\nwiki\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\nGET"])).toEqual({
      passed: "4\r\nwiki\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n",
      rest: "GET",
      bytes: 30,
      isDone: true,
    });
  });

  test("loses its trailers", () => {
    expect(scan(["1\r\na\r\n0\r\nX-Forwarded-For: 1\r\nB: c\r\n\r\nnext"])).toEqual({
      passed: "1\r\na\r\n0\r\n",
      rest: "next",
      bytes: 1,
      isDone: true,
    });
  });

  test("is the same however it is cut", () => {
    const whole = "3;x=y\r\nabc\r\nB\r\nhello world\r\n0;z\r\nT: u\r\n\r\nrest";
    const random = seededRandom("cuts");
    for (let i = 0; i < 500; i++) {
      const pieces: string[] = [];
      for (let at = 0; at < whole.length;) {
        const length = 1 + Math.floor(random.next() * 9);
        pieces.push(whole.slice(at, at + length));
        at += length;
      }
      expect(scan(pieces)).toEqual({
        passed: "3;x=y\r\nabc\r\nB\r\nhello world\r\n0;z\r\n",
        rest: "rest",
        bytes: 14,
        isDone: true,
      });
    }
  });

  test.each([
    ["no size", "\r\nabc"],
    ["a size that is none", "x\r\n"],
    ["a negative size", "-1\r\n"],
    ["a size in the C way", "0x3\r\nabc\r\n"],
    ["a space before the size", " 3\r\nabc\r\n"],
    ["a space behind the size", "3 \r\nabc\r\n"],
    ["a huge size", "fffffffffffffffff\r\n"],
    ["a bare line feed behind the size", "3\nabc\r\n"],
    ["a bare line feed in an extension", "3;a\nb\r\nabc\r\n"],
    ["a bare carriage return in an extension", "3;a\rb\r\nabc\r\n"],
    ["more data than it says", "3\r\nabcd\r\n"],
    ["a bare line feed behind its data", "3\r\nabc\n0\r\n\r\n"],
    ["an endless extension", `3;${"a".repeat(300)}`],
    ["endless trailers", `0\r\n${"a: b\r\n".repeat(5000)}`],
    ["a bare line feed in its trailers", "0\r\na: b\n\r\n"],
  ])("with %s is broken", (_title, text) => {
    expect(scan([text])).toBe("broken");
  });
});
