import { expect, test } from "bun:test";
import { parseDuration, parseSince } from "../../../src/cli/output/parse-time.ts";

const MINUTE = 60_000;

test("a duration adds up its parts", () => {
  expect(parseDuration("90s")).toBe(90_000);
  expect(parseDuration("1h30m")).toBe(90 * MINUTE);
  expect(parseDuration("1.5s")).toBe(1500);
  expect(parseDuration("250ms")).toBe(250);
  expect(parseDuration("2d")).toBe(2 * 24 * 60 * MINUTE);
  expect(parseDuration("3min")).toBe(3 * MINUTE);
});

test("what is no duration is none", () => {
  for (const text of ["", "10", "-5s", "5 s", "s", "10y", "1h foo", "9".repeat(30) + "d"]) {
    expect(parseDuration(text)).toBeUndefined();
  }
});

test("since counts back from now", () => {
  expect(parseSince("10m", 100 * MINUTE)).toBe(90 * MINUTE);
  expect(parseSince("10m", MINUTE)).toBe(0);
});

test("since takes a moment with a zone, local time without, and Unix seconds", () => {
  const noon = Date.UTC(2026, 10, 24, 12);
  expect(parseSince("2026-11-24T12:00:00Z", 0)).toBe(noon);
  expect(parseSince("2026-11-24T13:00+01:00", 0)).toBe(noon);
  expect(parseSince("2026-11-24T12:00", 0)).toBe(new Date(2026, 10, 24, 12).getTime());
  expect(parseSince("2026-11-24 12:00:00", 0)).toBe(new Date(2026, 10, 24, 12).getTime());
  expect(parseSince("2026-11-24", 0)).toBe(new Date(2026, 10, 24).getTime());
  expect(parseSince("1700000000", 0)).toBe(1_700_000_000_000);
});

test("since refuses what names no moment", () => {
  for (const text of ["", "10", "yesterday", "2026-13-45", "2026-11-24T99:00", "1/2/2026"]) {
    expect(parseSince(text, 0)).toBeUndefined();
  }
});
