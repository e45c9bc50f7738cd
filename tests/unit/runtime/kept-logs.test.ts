import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dropRotated, keepRotated } from "../../../src/runtime/podman/kept-logs.ts";
import { readLog } from "../../../src/runtime/podman/log-reader.ts";

let dir: string;
let log: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-kept-logs-"));
  log = join(dir, "ctr.log");
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

let second = 0;
const line = (text: string) =>
  `2026-01-01T00:00:${String(second++ % 60).padStart(2, "0")}.000000000+00:00 stdout F ${text}\n`;
const write = (...texts: string[]) => fs.appendFileSync(log, texts.map(line).join(""));

/** As conmon does when the file is full. */
function rotate(): void {
  fs.writeFileSync(`${log}.tmp`, "");
  fs.renameSync(`${log}.tmp`, log);
}

async function read(tail?: number): Promise<string[]> {
  const options = tail === undefined ? { follow: false } : { follow: false, tail };
  const lines: string[] = [];
  const source = { path: log, ended: async () => {} };
  for await (const { text } of readLog(source, options, new AbortController().signal)) {
    lines.push(text);
  }
  return lines;
}

/** Two lines in each of so many files, with a look after each. */
function fill(files: number): void {
  for (let i = 1; i <= files; i++) {
    if (i > 1) rotate();
    write(`a${i}`, `b${i}`);
    keepRotated(log);
  }
}

describe("a container's log", () => {
  test("keeps the two latest files beside the one that is written, and no more", async () => {
    fill(5);
    expect(fs.readdirSync(dir).sort()).toEqual([
      "ctr.log",
      "ctr.log.1",
      "ctr.log.2",
      "ctr.log.live",
    ]);
    expect(await read()).toEqual(["a3", "b3", "a4", "b4", "a5", "b5"]);
  });

  test("is read from its end, over as many files as it takes", async () => {
    fill(3);
    const ends = await Promise.all([0, 1, 2, 3, 4, 5, 9].map((tail) => read(tail)));
    expect(ends.map((lines) => lines.join(" "))).toEqual([
      "",
      "b3",
      "a3 b3",
      "b2 a3 b3",
      "a2 b2 a3 b3",
      "b1 a2 b2 a3 b3",
      "a1 b1 a2 b2 a3 b3",
    ]);
  });

  test("takes no second file's room while it was not rotated", () => {
    fill(1);
    keepRotated(log);
    expect(fs.readdirSync(dir).sort()).toEqual(["ctr.log", "ctr.log.live"]);
    expect(fs.statSync(log).nlink).toBe(2);
  });

  test("loses its older files when room is needed", async () => {
    fill(3);
    dropRotated(log);
    expect(await read()).toEqual(["a3", "b3"]);
  });

  test("that is not there yet, or was removed, is nothing to keep", () => {
    keepRotated(log);
    expect(fs.readdirSync(dir)).toEqual([]);
  });
});
