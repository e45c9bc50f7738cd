import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VolumeBackups } from "../../../../src/agent/volumes/volume-backups.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import { lineLog } from "../../../../src/lib/log.ts";
import type { Happening } from "../../../../src/model/event.ts";
import type { VolumeBackup } from "../../../../src/model/volume-backup.ts";
import type { VolumeCalls } from "../../../../src/model/volume.ts";
import { anAssignment } from "../../../builders.ts";
import { VirtualClock } from "../../../sim/virtual-clock.ts";
import { NO_VOLUMES } from "../../../volumes.ts";

const DAILY: VolumeBackup = {
  volume: "data",
  cron: "0 3 * * *",
  timeZone: "UTC",
  keep: 2,
  how: "stop",
};
const NOON = Date.parse("2026-11-27T12:00:00Z");
const DAY_MS = 86_400_000;

let dir: string;
let clock: VirtualClock;
let backups: VolumeBackups;
const told: Happening[] = [];
const read: string[] = [];
const said: string[] = [];
let failure: Error | undefined;

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-scheduled-"));
  clock = new VirtualClock(NOON);
  told.length = 0;
  read.length = 0;
  said.length = 0;
  failure = undefined;
  backups = newBackups();
});
afterEach(() => {
  backups.close();
  fs.rmSync(dir, { recursive: true, force: true });
});

function newBackups(hostname = "h1"): VolumeBackups {
  const volumes: VolumeCalls = {
    ...NO_VOLUMES,
    async read(name, how) {
      read.push(`${name} ${how}`);
      const pieces = async function* () {
        yield new Uint8Array([1, 2]);
        if (failure !== undefined) throw failure;
        yield new Uint8Array([3]);
      };
      return { pieces: pieces(), close: async () => void read.push("closed") };
    },
  };
  return new VolumeBackups({
    clock,
    log: lineLog(
      (line) => void said.push(line.trim()),
      () => "now",
    ),
    volumes,
    directory: dir,
    hostname,
    checkDirectory(path) {
      if (path === "/etc") throw new OrchdError("forbidden", "/etc is given to nobody");
    },
    onHappening: (happening) => void told.push(happening),
  });
}

const asking = (...of: VolumeBackup[]) => [anAssignment("t", { backups: of })];
const kept = (directory = join(dir, "data")) =>
  fs.existsSync(directory) ? fs.readdirSync(directory).sort() : [];

/** Whether a backup is on its way: its files are real, and so is the time that they take. */
function isBusy(): boolean {
  const closed = read.filter((line) => line === "closed").length;
  const files = fs.readdirSync(dir, { recursive: true, encoding: "utf8" });
  return read.length > 2 * closed || files.some((name) => name.includes(".draft-"));
}

/** Time passes, and stands still while a backup is made. */
async function pass(ms: number): Promise<void> {
  const until = clock.now() + ms;
  const deadline = performance.now() + 4000;
  do {
    do await new Promise((turn) => setImmediate(turn));
    while (isBusy() && performance.now() < deadline);
  } while (await clock.step(until));
}

describe("backups of a volume that its node makes", () => {
  test("come at their times, and the latest are kept", async () => {
    backups.plan(asking(DAILY));
    await pass(3 * DAY_MS);
    expect(kept()).toEqual(["data-20261129T030000Z.tar", "data-20261130T030000Z.tar"]);
    expect(told.map(({ action, name }) => `${action} ${name}`)).toEqual([
      "backup data",
      "backup data",
      "backup data",
    ]);
    expect(read.slice(0, 2)).toEqual(["data stop", "closed"]);
    const path = join(dir, "data", kept()[0] ?? "");
    expect([...fs.readFileSync(path)]).toEqual([1, 2, 3]);
    expect(fs.statSync(path).mode & 0o777).toBe(0o600);
  });

  test("are made up for once after the machine was off", async () => {
    fs.mkdirSync(join(dir, "data"));
    fs.writeFileSync(join(dir, "data", "data-20261120T030000Z.tar"), "");
    backups.plan(asking(DAILY));
    await pass(3_600_000);
    expect(kept()).toEqual(["data-20261120T030000Z.tar", "data-20261127T120000Z.tar"]);
  });

  test("are not made anew because a set came again", async () => {
    backups.plan(asking(DAILY));
    for (let i = 0; i < 5; i++) backups.plan(asking(DAILY));
    await pass(DAY_MS);
    expect(read.filter((line) => line !== "closed")).toHaveLength(1);
  });

  test("end when nobody asks for them any more", async () => {
    backups.plan(asking(DAILY));
    backups.plan([]);
    backups.plan([anAssignment("t", { backups: [DAILY], desired: "shutdown" })]);
    await pass(2 * DAY_MS);
    expect(read).toEqual([]);
  });

  test("that fail are told of, take nothing away, and are tried again soon", async () => {
    fs.mkdirSync(join(dir, "data"));
    for (const day of [20, 21]) {
      fs.writeFileSync(join(dir, "data", `data-202611${day}T030000Z.tar`), "");
    }
    failure = new OrchdError("runtime", "the disk is bad");
    backups.plan(asking(DAILY));
    await pass(60_000);
    expect(told.at(-1)).toMatchObject({ action: "backup failed", message: "the disk is bad" });
    expect(kept()).toEqual(["data-20261120T030000Z.tar", "data-20261121T030000Z.tar"]);
    await pass(3 * 600_000);
    expect(read.filter((line) => line !== "closed")).toHaveLength(4);
    expect([told.length, said.length]).toEqual([1, 1]);
    failure = undefined;
    await pass(600_000);
    expect(told.at(-1)?.action).toBe("backup");
    expect(said[1]).toBe("now info  volume data is backed up again");
    expect(kept()).toEqual(["data-20261121T030000Z.tar", "data-20261127T124000Z.tar"]);
  });

  test("lie where it was asked for, and nowhere that the node does not give", async () => {
    const to = join(dir, "elsewhere");
    backups.plan(asking({ ...DAILY, to }, { ...DAILY, volume: "logs", to: "/etc" }));
    fs.mkdirSync(to);
    fs.writeFileSync(join(to, "data-notes.tar"), "somebody's");
    await pass(DAY_MS);
    expect(kept(to)).toEqual(["data-notes.tar", "data@h1-20261128T030000Z.tar"]);
    expect(told.map(({ name, action }) => `${name} ${action}`).sort()).toContain(
      "logs backup failed",
    );
  });

  test("of nodes that share a directory leave each other's alone", async () => {
    const to = join(dir, "shared");
    const others = newBackups("h2");
    for (const each of [backups, others]) each.plan(asking({ ...DAILY, keep: 1, to }));
    await pass(2 * DAY_MS);
    others.close();
    const names = ["data@h1-20261129T030000Z.tar", "data@h2-20261129T030000Z.tar"];
    expect(kept(to)).toEqual(names);
  });
});
