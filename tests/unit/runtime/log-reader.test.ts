import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, mkdtemp, open, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogOptions } from "../../../src/model/session.ts";
import { readLog } from "../../../src/runtime/podman/log-reader.ts";
import { tailOffset } from "../../../src/runtime/podman/log-tail.ts";

const record = (text: string, tag = "F") => `2026-01-31T12:00:00.5+00:00 stdout ${tag} ${text}\n`;
const records = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => record(`line ${from + i}`)).join("");

describe("a log file of a container", () => {
  let dir = "";
  let path = "";

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "orchd-log-"));
    path = join(dir, "ctr.log");
  });

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  /** Reads while `during` does things to the file; the container ends when that is done. */
  const read = async (
    options: LogOptions,
    during: (seen: (text: string) => Promise<void>) => Promise<void> = async () => {},
  ): Promise<string[]> => {
    const over = Promise.withResolvers<void>();
    const texts: string[] = [];
    const waiting = new Map<string, () => void>();
    const seen = (text: string) =>
      new Promise<void>((resolve) => {
        if (texts.includes(text)) resolve();
        else waiting.set(text, resolve);
      });
    const { signal } = new AbortController();
    const reading = (async () => {
      for await (const line of readLog({ path, ended: () => over.promise }, options, signal)) {
        texts.push(line.text);
        waiting.get(line.text)?.();
      }
    })();
    await during(seen);
    over.resolve();
    await reading;
    return texts;
  };

  test("a file that is not there has no lines", async () => {
    expect(await read({ follow: false })).toEqual([]);
    expect(await read({ follow: false, tail: 3 })).toEqual([]);
  });

  test("lines that are appended are followed to the container's end", async () => {
    await writeFile(path, records(1, 2));
    const texts = await read({ follow: true }, async (seen) => {
      await seen("line 2");
      await appendFile(path, records(3, 3));
      await seen("line 3");
      await appendFile(path, records(4, 4));
    });
    expect(texts).toEqual(["line 1", "line 2", "line 3", "line 4"]);
  });

  test("a line that comes right after the first look is not waited for in vain", async () => {
    for (let round = 0; round < 60; round++) {
      await writeFile(path, records(1, 1));
      const texts = await read({ follow: true }, async (seen) => {
        await seen("line 1");
        await appendFile(path, records(2, 2));
        await seen("line 2");
      });
      expect(texts).toEqual(["line 1", "line 2"]);
    }
  });

  test("a file that appears later is followed from its beginning", async () => {
    const texts = await read({ follow: true }, async (seen) => {
      await writeFile(path, records(1, 2));
      await seen("line 2");
    });
    expect(texts).toEqual(["line 1", "line 2"]);
  });

  test("a file that is replaced is read to its end, and then the new one", async () => {
    await writeFile(path, records(1, 1));
    const texts = await read({ follow: true }, async (seen) => {
      await seen("line 1");
      await appendFile(path, records(2, 2));
      await writeFile(join(dir, "next"), records(3, 3));
      await rename(join(dir, "next"), path);
      await seen("line 3");
      await appendFile(path, records(4, 4));
    });
    expect(texts).toEqual(["line 1", "line 2", "line 3", "line 4"]);
  });

  test("a file that is cut short is read again from its beginning", async () => {
    await writeFile(path, records(1, 9));
    const texts = await read({ follow: true, tail: 1 }, async (seen) => {
      await seen("line 9");
      await truncate(path);
      await appendFile(path, records(10, 10));
      await seen("line 10");
    });
    expect(texts).toEqual(["line 9", "line 10"]);
  });

  test("giving up ends a followed log at once", async () => {
    await writeFile(path, records(1, 1));
    const enough = new AbortController();
    const never = new Promise<void>(() => {});
    const source = { path, ended: () => never };
    for await (const _ of readLog(source, { follow: true }, enough.signal)) enough.abort();
    expect(enough.signal.aborted).toBe(true);
  });

  test("the last lines are found from the end, for every number of them", async () => {
    const log = records(1, 5000);
    await writeFile(path, log);
    for (const count of [0, 1, 2, 1000, 1500, 4999, 5000, 6000]) {
      const texts = await read({ follow: false, tail: count });
      expect(texts.length).toBe(Math.min(count, 5000));
      expect(texts.at(-1)).toBe(count === 0 ? undefined : "line 5000");
    }
  });

  test("the end of a large file is found without reading all of it", async () => {
    await writeFile(path, record("x".repeat(8000)).repeat(1000) + records(1, 3));
    const file = await open(path, "r");
    let bytes = 0;
    const counted = {
      read: async (buffer: Buffer, offset: number, length: number, position: number) => {
        const result = await file.read(buffer, offset, length, position);
        bytes += result.bytesRead;
        return result;
      },
    };
    const size = (await file.stat()).size;
    expect(await tailOffset(counted, size, 3)).toBe(size - records(1, 3).length);
    expect(bytes).toBeLessThan(100_000);
    await file.close();
  });

  test("parts come with their line, and a record half written does not count", async () => {
    const parts = record("a", "P") + record("b", "P") + record("c");
    await writeFile(path, records(1, 3) + parts + "2026-01-31T12:00:00.5+00:00 stdo");
    expect(await read({ follow: false, tail: 1 })).toEqual(["abc"]);
    expect(await read({ follow: false, tail: 2 })).toEqual(["line 3", "abc"]);
  });

  test("the last lines are found wherever blocks of the file meet", async () => {
    for (const length of [1, 20, 21, 63, 64, 65, 1000, 65_000, 65_536, 70_000]) {
      const log = Array.from({ length: 6 }, (_, i) => record(`${i}${"y".repeat(length)}`)).join("");
      await writeFile(path, log);
      const file = await open(path, "r");
      const each = log.length / 6;
      for (let count = 1; count <= 6; count++) {
        expect(await tailOffset(file, log.length, count)).toBe(log.length - count * each);
      }
      await file.close();
    }
  });
});
