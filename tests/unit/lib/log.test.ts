import { expect, test } from "bun:test";
import { escapeControl, lineLog } from "../../../src/lib/log.ts";

test("a message from outside can't forge a line or colour a terminal", () => {
  expect(escapeControl("a\nb\u001b[31mc\u2028d\u0085")).toBe("a\\x0ab\\x1b[31mc\\u2028d\\x85");
});

test("a line carries the time and the level", () => {
  const lines: string[] = [];
  const log = lineLog(
    (line) => lines.push(line),
    () => "noon",
  );
  log.info("started");
  log.warn("slow");
  log.error("bro\nken");
  expect(lines).toEqual(["noon info  started\n", "noon warn  slow\n", "noon error bro\\x0aken\n"]);
});
