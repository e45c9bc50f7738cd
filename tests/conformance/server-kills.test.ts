import { afterAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemCodeOf } from "../../src/lib/errors.ts";
import { randomBelow, seededRandom, type Random } from "../../src/lib/random.ts";
import { KilledServer } from "./killed-server.ts";
import { until } from "./runtime-until.ts";
import { mountProblem, mountTmpfs, unmount } from "./small-disk.ts";

/** `SERVER_KILLS=200 KILL_SEED=x bun test …`: the full count takes some minutes. */
const KILLS = Number(process.env["SERVER_KILLS"] ?? 6);
const SEED = process.env["KILL_SEED"] ?? String(Date.now());
const MS_PER_KILL = 20_000;
const whyNot = mountProblem();
if (whyNot !== undefined) console.warn(`tests on a full disk are skipped: ${whyNot}`);

const directories: string[] = [];
afterAll(() => {
  for (const dir of directories) fs.rmSync(dir, { recursive: true, force: true });
});

function newDirectory(): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "orchd-kills-"));
  directories.push(dir);
  return dir;
}

describe(`a server that is killed at random amid writes (KILL_SEED=${SEED})`, () => {
  test(
    `has every accepted change, and nothing by half, ${KILLS} times`,
    async () => {
      const random = seededRandom(`${SEED}/kills`);
      const server = new KilledServer(newDirectory(), random.split("server"));
      await server.prepare();
      for (let i = 0; i < KILLS; i++) {
        await server.writeWhile(async () => server.accepts(randomBelow(random, 40)));
        expect(server.integrity()).toBe('[{"integrity_check":"ok"}]');
        expect(await server.check()).toEqual([]);
      }
      await server.stop();
      console.log(`${KILLS} kills, ${server.accepted} accepted changes`);
    },
    KILLS * MS_PER_KILL,
  );

  test.skipIf(whyNot !== undefined)(
    `has them also where the disk becomes full at a random write, ${KILLS} times`,
    async () => {
      const random = seededRandom(`${SEED}/full`);
      const dir = newDirectory();
      mountTmpfs(dir, "size=16m,mode=0700");
      const server = new KilledServer(join(dir, "data"), random.split("server"));
      try {
        await server.prepare();
        for (let i = 0; i < KILLS; i++) await fillAndKill(server, dir, random);
        console.log(`${server.accepted} accepted changes, ${server.refused} refused ones`);
        expect(server.refused).toBeGreaterThanOrEqual(KILLS);
      } finally {
        await server.stop();
        unmount(dir);
      }
    },
    KILLS * MS_PER_KILL,
  );
});

/** Fills the disk amid writes; it has room again before the kill, after it, or after the start. */
async function fillAndKill(server: KilledServer, dir: string, random: Random): Promise<void> {
  const ballast = join(dir, "ballast");
  const roomAgain = randomBelow(random, 3);
  // A long journal is written over from its start, and so takes changes on a full disk as well.
  await server.stop();
  await server.start();
  await server.writeWhile(async () => {
    await server.accepts(randomBelow(random, 20));
    const before = server.refused;
    fillUp(ballast, randomBelow(random, 12));
    await until("a change that is refused", () => server.refused > before);
    if (roomAgain !== 0) return;
    fs.rmSync(ballast);
    await server.accepts(1 + randomBelow(random, 20));
  });
  if (roomAgain === 1) fs.rmSync(ballast);
  expect(server.integrity()).toBe('[{"integrity_check":"ok"}]');
  expect(await server.check()).toEqual([]);
  fs.rmSync(ballast, { force: true });
}

/** Leaves so many pages free, or none where the server was quicker to take them. */
function fillUp(ballast: string, pages: number): void {
  const { bavail, bsize } = fs.statfsSync(join(ballast, ".."));
  try {
    fs.writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail - pages) * bsize));
  } catch (error) {
    if (systemCodeOf(error) !== "ENOSPC") throw error;
  }
}
