import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joined } from "../../../../src/core/archive/bytes.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import { lineLog } from "../../../../src/lib/log.ts";
import { put } from "../../../../src/model/change.ts";
import { isLostRevision } from "../../../../src/model/cluster.ts";
import type { Happening } from "../../../../src/model/event.ts";
import { backUpCluster, type BackupSource } from "../../../../src/server/backup/back-up.ts";
import { ClusterBackups } from "../../../../src/server/backup/cluster-backups.ts";
import { memberOf, writeFlatArchive } from "../../../../src/server/backup/flat-archive.ts";
import { restoreCluster } from "../../../../src/server/backup/restore-cluster.ts";
import { openSqliteStore, type SqliteStore } from "../../../../src/store/sqlite/sqlite-store.ts";
import { aCluster, aNode, aService, aStack } from "../../../builders.ts";
import { VirtualClock } from "../../../sim/virtual-clock.ts";

const NOW = Date.parse("2026-11-27T03:00:00Z");
const PASSPHRASE = "correct horse battery";

let dir: string;
let store: SqliteStore;
let source: BackupSource;

beforeEach(async () => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-backup-"));
  const dataDir = join(dir, "data");
  store = await openSqliteStore(join(dataDir, "server.db"));
  await store.commit([put.cluster(aCluster()), put.node(aNode("n1")), put.stack(aStack("shop"))]);
  await store.commit([put.service(aService())]);
  source = { store, dataDir, orchdVersion: "1.0.0", now: () => NOW };
});
afterEach(async () => {
  await store.close();
  fs.rmSync(dir, { recursive: true });
});

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const bytes of stream) parts.push(bytes.slice());
  return joined(parts);
}

async function backUp(passphrase?: string): Promise<Uint8Array> {
  const backup = await backUpCluster(source, passphrase);
  const bytes = await collect(backup.stream);
  backup.discard();
  expect(bytes.length).toBe(backup.bytes);
  return bytes;
}

async function manifestOf(bytes: Uint8Array): Promise<object> {
  fs.writeFileSync(join(dir, "b.tar"), bytes);
  const shown = Bun.spawnSync(["tar", "-xOf", join(dir, "b.tar"), "manifest.json"]);
  return JSON.parse(shown.stdout.toString()) as object;
}

/** Restores these bytes into a fresh directory, or the named one. */
async function restore(bytes: Uint8Array, options: { passphrase?: string; to?: string } = {}) {
  const file = join(dir, "backup.tar");
  fs.writeFileSync(file, bytes);
  const dataDir = options.to ?? fs.mkdtempSync(join(dir, "fresh-"));
  const { passphrase } = options;
  const restored = await restoreCluster({ file, dataDir, passphrase, replace: false, now: NOW });
  return { dataDir, ...restored };
}

/** The code and the sentence with which something is refused. */
async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof OrchdError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a backup of the cluster", () => {
  test("brings all of its state back into a fresh directory", async () => {
    const { dataDir, manifest } = await restore(await backUp());
    expect(manifest).toMatchObject({ revision: 2, nodes: 1, services: 1, createdAt: NOW });
    expect(fs.readdirSync(dataDir)).toEqual(["server.db"]);
    expect(fs.statSync(join(dataDir, "server.db")).mode & 0o777).toBe(0o600);
    const again = await openSqliteStore(join(dataDir, "server.db"));
    expect(again.clusterId).toBe(store.clusterId);
    const [before, after] = [store.view(), again.view()];
    expect(after.services).toEqual(before.services);
    expect(after.nodes).toEqual(before.nodes);
    expect(after.cluster?.caKey).toBe(before.cluster?.caKey);
    await again.close();
  });

  test("lets the cluster count on from where none of its nodes has been", async () => {
    const bytes = await backUp();
    await store.commit([put.stack(aStack("later"))]);
    const { dataDir } = await restore(bytes);
    const again = await openSqliteStore(join(dataDir, "server.db"));
    const { cluster, version } = again.view();
    expect(version).toBe(NOW);
    expect(cluster?.restored).toEqual({ from: 2, to: NOW, at: NOW });
    const lost = [2, 3, NOW - 1, NOW].map(
      (revision) => cluster && isLostRevision(cluster, revision),
    );
    expect(lost).toEqual([false, true, true, false]);
    const { ok } = await again.commit([put.stack(aStack("next"))]);
    expect([ok, again.view().version]).toEqual([true, NOW + 1]);
    await again.close();
  });

  test("holds what was durable, and the server works on meanwhile", async () => {
    const backup = await backUpCluster(source);
    await store.commit([put.stack(aStack("meanwhile"))]);
    const { dataDir } = await restore(await collect(backup.stream));
    backup.discard();
    const again = await openSqliteStore(join(dataDir, "server.db"));
    expect([...again.view().stacks.keys()]).toEqual(["shop"]);
    await again.close();
    expect(fs.readdirSync(source.dataDir).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("is read by tar, and says what it holds", async () => {
    fs.writeFileSync(join(dir, "b.tar"), await backUp());
    const listed = Bun.spawnSync(["tar", "-tf", join(dir, "b.tar")]);
    expect([listed.exitCode, listed.stderr.toString()]).toEqual([0, ""]);
    expect(listed.stdout.toString()).toBe("manifest.json\nserver.db\n");
    const shown = Bun.spawnSync(["tar", "-xOf", join(dir, "b.tar"), "manifest.json"]);
    expect(shown.stdout.toString()).toContain("private key");
  });

  test("that is cut off or altered is refused before anything is touched", async () => {
    const bytes = await backUp();
    const fresh = fs.mkdtempSync(join(dir, "fresh-"));
    for (const length of [0, 1, 512, 5000, bytes.length - 2048, bytes.length - 1]) {
      const cut = restore(bytes.subarray(0, length), { to: fresh });
      expect(await refusalOf(cut)).toMatch(/^(damaged|invalid): /);
    }
    for (let at = 100; at < bytes.length; at += 9973) {
      const altered = bytes.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      const attempt = restore(altered, { to: fresh });
      expect(await refusalOf(attempt)).toMatch(/^(damaged|invalid): /);
    }
    expect(fs.readdirSync(fresh)).toEqual([]);
  });

  test("of a newer orchd is refused", async () => {
    const text = new TextEncoder().encode(JSON.stringify({ format: 2, more: "unknown" }));
    const members = [memberOf("manifest.json", text), memberOf("server.db", text)];
    const newer = await collect(writeFlatArchive("cluster backup", members, NOW));
    expect(await refusalOf(restore(newer))).toMatch(/^invalid: .*newer orchd/);
  });

  test("whose state a newer orchd wrote is refused", async () => {
    const { dataDir } = await restore(await backUp());
    const path = join(dataDir, "server.db");
    const later = "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('later', ?)";
    using database = new Database(path);
    database.run(later, [Number.MAX_SAFE_INTEGER]);
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const state = new Uint8Array(fs.readFileSync(path));
    const sha256 = new Bun.CryptoHasher("sha256").update(state).digest("hex");
    const files = [{ name: "server.db", bytes: state.length, sha256 }];
    const manifest = { ...(await manifestOf(await backUp())), files };
    const members = [
      memberOf("manifest.json", new TextEncoder().encode(JSON.stringify(manifest))),
      memberOf("server.db", state),
    ];
    const newer = await collect(writeFlatArchive("cluster backup", members, NOW));
    const fresh = fs.mkdtempSync(join(dir, "fresh-"));
    expect(await refusalOf(restore(newer, { to: fresh }))).toBe(
      "invalid: the backup was made by a newer orchd: use that version",
    );
    expect(fs.readdirSync(fresh)).toEqual([]);
  });

  test("with a file that belongs into none is refused", async () => {
    const members = [
      memberOf("manifest.json", new Uint8Array()),
      memberOf("../x", new Uint8Array()),
    ];
    const foreign = await collect(writeFlatArchive("cluster backup", members, NOW));
    expect(await refusalOf(restore(foreign))).toStartWith("damaged: ");
  });

  test("is not put over a cluster, unless that is to make room", async () => {
    const bytes = await backUp();
    const { dataDir } = await restore(bytes);
    const file = join(dir, "backup.tar");
    const options = { file, dataDir, passphrase: undefined, now: NOW };
    expect(await refusalOf(restoreCluster({ ...options, replace: false }))).toMatch(
      /^conflict: .*has a cluster already/,
    );
    const { movedTo = "" } = await restoreCluster({ ...options, replace: true });
    expect(fs.readdirSync(movedTo)).toEqual(["server.db"]);
  });

  test("is not put in the place of one whose server runs", async () => {
    fs.writeFileSync(join(dir, "b.tar"), await backUp());
    const running = { file: join(dir, "b.tar"), dataDir: source.dataDir, passphrase: undefined };
    const attempt = restoreCluster({ ...running, replace: true, now: NOW });
    expect(await refusalOf(attempt)).toMatch(/^conflict: .*stop it first/);
    expect((await store.commit([put.stack(aStack("works"))])).ok).toBe(true);
  });
});

describe("a sealed backup", () => {
  test("opens with its passphrase and no other, and shows nothing of its inside", async () => {
    const bytes = await backUp(PASSPHRASE);
    expect(Buffer.from(bytes).includes("PRIVATE KEY")).toBe(false);
    expect(Buffer.from(bytes).includes("SQLite format")).toBe(false);
    const { manifest } = await restore(bytes, { passphrase: PASSPHRASE });
    expect(manifest.nodes).toBe(1);
    const wrong = restore(bytes, { passphrase: "another one" });
    expect(await refusalOf(wrong)).toStartWith("forbidden: the passphrase");
    expect(await refusalOf(restore(bytes))).toContain("is sealed");
  });

  test("with a passphrase that is too short is not made", async () => {
    expect(await refusalOf(backUpCluster(source, "short"))).toStartWith("invalid: ");
  });
});

test("a sealed backup opens however an accent of its passphrase was typed", async () => {
  const bytes = await backUp("caf\u00e9 au lait");
  const { manifest } = await restore(bytes, { passphrase: "cafe\u0301 au lait" });
  expect(manifest.nodes).toBe(1);
});

describe("scheduled backups of the cluster", () => {
  function backups(clock: VirtualClock, keep = 2) {
    const told: Happening[] = [];
    const said: string[] = [];
    const directory = join(dir, "kept");
    const made = new ClusterBackups({
      source: { ...source, now: () => clock.now() },
      schedule: { directory, everyMs: 3_600_000, keep },
      clock,
      log: lineLog(
        (line) => void said.push(line.trim()),
        () => "now",
      ),
      onHappening: (happening) => void told.push(happening),
    });
    return { made, told, said, directory };
  }

  test("are made when they are due, and the latest are kept", async () => {
    const clock = new VirtualClock(NOW);
    const { made, directory, told } = backups(clock);
    made.start();
    expect(made.status().schedule?.nextAt).toBe(NOW);
    fs.writeFileSync(join(directory, "mine.tar"), "mine");
    for (let hour = 0; hour < 3; hour++) {
      await made.runScheduled();
      const until = clock.now() + 3_599_000;
      while (await clock.step(until));
    }
    made.close();
    expect(fs.readdirSync(directory).sort()).toEqual([
      "mine.tar",
      "orchd-cluster-20261127T035959Z.tar",
      "orchd-cluster-20261127T045958Z.tar",
    ]);
    expect(told.map(({ action }) => action)).toEqual(["backup", "backup", "backup"]);
    const { last, failure } = made.status();
    expect([last?.path?.endsWith("045958Z.tar"), failure]).toEqual([true, undefined]);
  });

  test("that fail are told of, keep what is there, and are tried again sooner", async () => {
    const clock = new VirtualClock(NOW);
    const { made, directory, told } = backups(clock);
    made.start();
    await made.runScheduled();
    fs.renameSync(directory, `${directory}-away`);
    fs.writeFileSync(directory, "in the way");
    await made.runScheduled();
    expect(told.at(-1)).toMatchObject({ kind: "cluster", action: "backup failed" });
    expect(made.status().failure?.at).toBe(NOW);
    expect(made.status().schedule?.nextAt).toBe(NOW + 600_000);
    expect(fs.readdirSync(`${directory}-away`)).toHaveLength(1);
    made.close();
  });

  test("that fail again and again are told of once, and once when one is good again", async () => {
    const clock = new VirtualClock(NOW);
    const { made, directory, told, said } = backups(clock);
    made.start();
    fs.renameSync(directory, `${directory}-away`);
    fs.writeFileSync(directory, "in the way");
    for (let i = 0; i < 3; i++) await made.runScheduled();
    fs.rmSync(directory);
    fs.renameSync(`${directory}-away`, directory);
    await made.runScheduled();
    made.close();
    expect(told.map(({ action }) => action)).toEqual(["backup failed", "backup"]);
    expect(said.map((line) => line.split(":")[0])).toEqual([
      "now error the scheduled backup of the cluster failed",
      `now info  the cluster is backed up to ${made.status().last?.path}`,
      "now info  the cluster is backed up again",
    ]);
  });
});

describe("what opens the secrets of a cluster", () => {
  test("is in a sealed backup alone, and comes back with it", async () => {
    const key = join(source.dataDir, "vault.key");
    fs.writeFileSync(key, "the key of the vault\n", { mode: 0o600 });
    expect(Buffer.from(await backUp()).includes("the key of the vault")).toBe(false);
    const sealed = await backUp(PASSPHRASE);
    expect(Buffer.from(sealed).includes("the key of the vault")).toBe(false);
    const { dataDir } = await restore(sealed, { passphrase: PASSPHRASE });
    expect(fs.readFileSync(join(dataDir, "vault.key"), "utf8")).toBe("the key of the vault\n");
    expect(fs.statSync(join(dataDir, "vault.key")).mode & 0o777).toBe(0o600);
  });
});
