import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { keepReleasingCode, unchangedRanges } from "../../../src/agent/release-code.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import { until } from "../../conformance/runtime-until.ts";

/** A mapping as /proc/PID/smaps shows it, with the figures that matter here. */
function aMapping(line: string, anonymousKib: number): string {
  const figures = ["Rss:     32 kB", `Anonymous:       ${anonymousKib} kB`, "VmFlags: rd ex"];
  return [line, ...figures, ""].join("\n");
}

test("only what is mapped from files, protected and unchanged can be given back", () => {
  const smaps = [
    aMapping("00200000-00210000 r--p 00000000 fe:00 77                 /usr/bin/orchd", 0),
    aMapping("00210000-00240000 r-xp 00010000 fe:00 77                 /usr/bin/orchd", 0),
    // What the dynamic linker or the engine wrote before they protected it is in no file.
    aMapping("00240000-00250000 r--p 00040000 fe:00 77                 /usr/bin/orchd", 4),
    aMapping("00250000-00260000 rw-p 00050000 fe:00 77                 /usr/bin/orchd", 0),
    aMapping("7fde00000000-7fde00010000 rwxp 00000000 00:00 0 ", 64),
    aMapping("7fed00000000-7fed00010000 r-xp 00026000 fe:00 78         /usr/lib/libc.so.6", 0),
    aMapping("7fee00000000-7fee00010000 r--p 00000000 00:00 0          [vvar]", 0),
  ].join("");
  expect(unchangedRanges(smaps)).toEqual([
    { start: 0x200000, bytes: 0x10000 },
    { start: 0x210000, bytes: 0x30000 },
    { start: 0x7fed00000000, bytes: 0x10000 },
  ]);
});

test("a process that gave its code back needs less memory, and goes on as before", async () => {
  const waiting: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonicNow: () => 0,
    after: (_delayMs, run) => {
      waiting.push(run);
      return { cancel: () => void waiting.splice(0) };
    },
  };
  const stop = keepReleasingCode(clock);
  const before = codeResidentKib();
  waiting.shift()?.();
  await until("it is done and waits for the next time", () => waiting.length === 1);
  expect(codeResidentKib()).toBeLessThan(before * 0.8);
  expect(new Intl.NumberFormat("en").format(1234.5)).toBe("1,234.5");
  stop();
  expect(waiting).toEqual([]);
});

test("what was ended while it gave code back does not wait for a next time", async () => {
  const waiting: (() => void)[] = [];
  const after = (_delayMs: number, run: () => void) => {
    waiting.push(run);
    return { cancel: () => {} };
  };
  const [first, second] = [1, 2].map(() =>
    keepReleasingCode({ now: () => 0, monotonicNow: () => 0, after }),
  );
  for (const run of waiting.splice(0)) run();
  first?.();
  await until("the other one waits again", () => waiting.length > 0);
  second?.();
  expect(waiting).toHaveLength(1);
});

function codeResidentKib(): number {
  const mappings = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const ours = mappings.filter((text) => / r-xp /.test(text) && text.includes(process.execPath));
  return ours.reduce((sum, text) => sum + Number(/^Rss: +(\d+) kB/m.exec(text)?.[1]), 0);
}
