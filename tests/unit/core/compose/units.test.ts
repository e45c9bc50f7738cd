import { expect, test } from "bun:test";
import { isHostName, isIpv4, isIpv6 } from "../../../../src/core/compose/convert/addresses.ts";
import {
  parseBytes,
  parseCpuMillis,
  parseDurationMs,
  parseFlag,
  parseInteger,
  parseMode,
} from "../../../../src/core/compose/convert/units.ts";
import { splitWords } from "../../../../src/core/compose/convert/words.ts";

function eachOf<T>(parse: (text: string) => T, texts: string[]): T[] {
  return texts.map((text) => parse(text));
}

test("durations are sums of numbers with units", () => {
  const texts = ["10s", "1m30s", "1h", "500ms", "1.5s", "2h45m10s", "0", "1500us"];
  const ms = [10_000, 90_000, 3_600_000, 500, 1500, 9_910_000, 0, 2];
  expect(eachOf(parseDurationMs, texts)).toEqual(ms);
  for (const text of ["", "10", "-1s", "s", "1 s", "1d", "1e3s", "9".repeat(15) + "h"]) {
    expect({ text, ms: parseDurationMs(text) }).toEqual({ text, ms: undefined });
  }
});

test("sizes go in steps of 1024, whatever their spelling", () => {
  const texts = ["0", "65536", "10b", "512m", "512M", "1gb", "1.5GiB", "2 k", "1tb"];
  const bytes = [0, 65_536, 10, 2 ** 29, 2 ** 29, 2 ** 30, 1.5 * 2 ** 30, 2048, 2 ** 40];
  expect(eachOf(parseBytes, texts)).toEqual(bytes);
  for (const text of ["", "-1", "1e30g", "m", "1x", "1mbb", "0x10", "999999999999p"]) {
    expect({ text, bytes: parseBytes(text) }).toEqual({ text, bytes: undefined });
  }
});

test("cores are counted in thousandths", () => {
  expect(eachOf(parseCpuMillis, ["0.5", "2", "0", "0.0004", "1.2345"])).toEqual([
    500, 2000, 0, 0, 1235,
  ]);
  expect(eachOf(parseCpuMillis, ["-1", "", "1e9", ".5", "NaN"])).toEqual(
    Array.from({ length: 5 }, () => undefined),
  );
});

test("whole numbers, truth and file modes are read exactly", () => {
  expect(eachOf(parseInteger, ["7", "-1", "+3", "007"])).toEqual([7, -1, 3, 7]);
  expect(eachOf(parseInteger, ["1.0", "1e3", "0x1", "", "9007199254740993"])).toEqual(
    Array.from({ length: 5 }, () => undefined),
  );
  expect(eachOf(parseFlag, ["true", "No", "on", "maybe"])).toEqual([true, false, true, undefined]);
  expect(eachOf(parseMode, ["0440", "0o440", "1777", "8"])).toEqual([
    0o440,
    0o440,
    0o1777,
    undefined,
  ]);
});

test("a command line is split as a shell does", () => {
  expect(splitWords(`echo "a b" 'c "d"' e\\ f "\\$x \\n" ''`)).toEqual([
    "echo",
    "a b",
    'c "d"',
    "e f",
    "$x \\n",
    "",
  ]);
  expect(splitWords("  a\\\n b\tc ")).toEqual(["a", "b", "c"]);
  expect(splitWords("")).toEqual([]);
  for (const text of [`"a`, `'a`, "a\\", `"a\\"`]) expect(splitWords(text)).toBeUndefined();
});

test("addresses and host names are what the network takes", () => {
  expect(["10.0.0.1", "255.255.255.255", "0.0.0.0"].every(isIpv4)).toBe(true);
  expect(["256.0.0.1", "01.0.0.1", "1.2.3", "1.2.3.4.5", "a.b.c.d", ""].some(isIpv4)).toBe(false);
  expect(["::", "::1", "fd00::1:2", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1"].every(isIpv6)).toBe(true);
  expect(["1::2::3", ":::", "1:2:3", "12345::", "g::", "::1%eth0", "10.0.0.1"].some(isIpv6)).toBe(
    false,
  );
  expect(["a", "my-host.example.net", "x_y"].every(isHostName)).toBe(true);
  expect(["", "-a", "a..b", "a b", "a".repeat(64), "ü"].some(isHostName)).toBe(false);
});
