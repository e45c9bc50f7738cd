import { describe, expect, test } from "bun:test";
import { DiskCare } from "../../../src/agent/disk-care.ts";
import { silentLog } from "../../../src/lib/log.ts";
import type { NodeDisk } from "../../../src/model/disk.ts";
import type { Upkeep } from "../../../src/runtime/driver.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

const GIB = 1024 ** 3;

/** A machine with a disk of 16 GiB; each step of making room frees what it is told to. */
function aMachine(freeGib: number, frees: { logs?: number; copies?: number; image?: number } = {}) {
  let free = freeGib;
  const done: string[] = [];
  const told: NodeDisk[] = [];
  const upkeep: Upkeep = {
    storagePath: async () => "/storage",
    keepLogs: async (ids) => void done.push(`keep logs of ${ids.join()}`),
    async dropOldLogs() {
      done.push("drop old logs");
      free += frees.logs ?? 0;
    },
    async removeImages(keep, isEnough) {
      const removed: string[] = [];
      for (const name of ["old:1", "old:2", "web:1"]) {
        if (keep.includes(name) || (await isEnough())) continue;
        removed.push(name);
        done.push(`remove ${name}`);
        free += frees.image ?? 0;
      }
      return removed;
    },
  };
  const care = new DiskCare({
    clock: new VirtualClock(0),
    log: silentLog,
    upkeep,
    paths: ["/storage"],
    containerIds: () => ["c1"],
    imagesInUse: () => ["web:1"],
    onChange: (disk) => void told.push(disk),
    measure: async () => [{ path: "/storage", freeBytes: free * GIB, totalBytes: 16 * GIB }],
  });
  const dropCopies = async () => {
    done.push("drop copies");
    free += frees.copies ?? 0;
    return 1;
  };
  return {
    care,
    dropCopies,
    done,
    told,
    fill: (gib: number) => {
      free = gib;
    },
  };
}

describe("the disk of a node", () => {
  test("is left alone while there is room", async () => {
    const { care, done, told } = aMachine(8);
    await care.look();
    expect(done).toEqual(["keep logs of c1"]);
    expect(told).toEqual([]);
    expect(await care.pruneImages([])).toEqual([]);
    care.requireRoom();
  });

  test("loses old logs first, and nothing more where that is enough", async () => {
    const { care, done, told } = aMachine(1.5, { logs: 2 });
    await care.look();
    expect(done).toEqual(["keep logs of c1", "drop old logs"]);
    expect(told).toEqual([]);
  });

  test("loses nothing else before the server has said what is needed, and is low", async () => {
    const { care, done, told } = aMachine(1, { logs: 0.1 });
    await care.look();
    expect(done.slice(1)).toEqual(["drop old logs"]);
    expect(told).toMatchObject([{ level: "low", path: "/storage" }]);
    await care.look();
    expect(told).toHaveLength(1);
  });

  test("loses copies of images for others next, and images only then", async () => {
    const enough = aMachine(1, { copies: 2 });
    expect(await enough.care.pruneImages([], enough.dropCopies)).toEqual([]);
    const { care, done, dropCopies } = aMachine(1, { image: 2 });
    expect(await care.pruneImages([], dropCopies)).toEqual(["old:1"]);
    expect(done.slice(0, 2)).toEqual(["drop copies", "remove old:1"]);
  });

  test("loses other images by the server's list, none in use, no more than it takes", async () => {
    const { care, told } = aMachine(1, { image: 2 });
    await care.look();
    expect(await care.pruneImages(["old:1"])).toEqual(["old:2"]);
    expect(told.map(({ level }) => level)).toEqual(["low", "roomy"]);
    const poor = aMachine(1, { image: 0 });
    await poor.care.look();
    expect(await poor.care.pruneImages([])).toEqual(["old:1", "old:2"]);
  });

  test("takes no task while it is full, and says so", async () => {
    const { care, told, fill } = aMachine(0.2);
    await care.look();
    expect(told.map(({ level }) => level)).toEqual(["full"]);
    expect(() => care.requireRoom()).toThrow("the node's disk is full: 204.8 MiB of 16 GiB");
    fill(8);
    await care.look();
    care.requireRoom();
    expect(told.at(-1)).toEqual({ level: "roomy" });
  });
});
