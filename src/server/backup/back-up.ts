import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { SqliteStore } from "../../store/sqlite/sqlite-store.ts";
import {
  flatArchiveBytes,
  memberOf,
  type Member,
  newHasher,
  writeFlatArchive,
} from "./flat-archive.ts";
import {
  BACKUP_FORMAT,
  DATABASE_NAME,
  HOLDS,
  KEY_NAMES,
  MANIFEST_NAME,
  type Manifest,
  SEAL_NAME,
  SEALED_NAME,
} from "./manifest.ts";
import { newSeal, sealedBytes, sealStream, PASSPHRASE_MIN } from "./sealing.ts";

const DRAFT_PREFIX = ".backup-";

export interface BackupSource {
  store: SqliteStore;
  dataDir: string;
  orchdVersion: string;
  /** Milliseconds since 1970. */
  now(): number;
}

/** A backup that is ready to be read, once. */
export interface Backup {
  bytes: number;
  manifest: Manifest;
  stream: AsyncIterable<Uint8Array>;
  /** Gives back what it holds on the disk; always to be called in the end. */
  discard(): void;
}

/**
 * Makes a copy of the cluster's whole state as of this moment, while the server works on. Its copy
 * of the database lies in the data directory until it is discarded.
 * @param passphrase absent: whoever has the backup can read it
 * @param draftId names that copy, for as long as nobody else does
 * @throws OrchdError `noSpace`, `forbidden`, `invalid`
 */
export async function backUpCluster(
  source: BackupSource,
  passphrase?: string,
  draftId: string = randomUUID(),
): Promise<Backup> {
  if (passphrase !== undefined && passphrase.length < PASSPHRASE_MIN) {
    const message = `a passphrase has at least ${PASSPHRASE_MIN} characters: choose a longer one`;
    throw new OrchdError("invalid", message);
  }
  const draft = join(source.dataDir, `${DRAFT_PREFIX}${draftId}`);
  const discard = () => fs.rmSync(draft, { force: true });
  try {
    const view = source.store.view();
    const counts = { nodes: view.nodes.size, services: view.services.size };
    const at = source.now();
    const revision = source.store.copyTo(draft);
    // In the same turn as the copy: the key that fits it.
    const keys = passphrase === undefined ? [] : keysIn(source.dataDir);
    const file = await measure(draft);
    const manifest: Manifest = {
      format: BACKUP_FORMAT,
      createdAt: at,
      orchdVersion: source.orchdVersion,
      clusterId: source.store.clusterId,
      revision,
      ...counts,
      holds: HOLDS,
      files: [{ name: DATABASE_NAME, ...file }, ...keys.map(describe)],
    };
    const text = new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 2)}\n`);
    const database = { name: DATABASE_NAME, bytes: file.bytes, content: () => readFile(draft) };
    const plain = [memberOf(MANIFEST_NAME, text), database, ...keys.map(keyMember)];
    const made =
      passphrase === undefined ? plainBackup(plain, at) : sealedBackup(plain, at, passphrase);
    return { ...made, manifest, discard };
  } catch (error) {
    discard();
    throw error;
  }
}

/** Removes what a server left that was killed while it made a backup. */
export function removeDrafts(dataDir: string): void {
  for (const name of fs.readdirSync(dataDir)) {
    if (name.startsWith(DRAFT_PREFIX)) fs.rmSync(join(dataDir, name), { force: true });
  }
}

interface KeyFile {
  name: (typeof KEY_NAMES)[number];
  content: Uint8Array;
}

function keysIn(dataDir: string): KeyFile[] {
  return KEY_NAMES.flatMap((name) => {
    const path = join(dataDir, name);
    return fs.existsSync(path) ? [{ name, content: new Uint8Array(fs.readFileSync(path)) }] : [];
  });
}

function describe({ name, content }: KeyFile) {
  const hasher = newHasher();
  hasher.update(content);
  return { name, bytes: content.length, sha256: hasher.digest() };
}

function keyMember({ name, content }: KeyFile): Member {
  return memberOf(name, content);
}

function plainBackup(members: readonly Member[], at: number) {
  const stream = writeFlatArchive("cluster backup", members, at);
  return { bytes: flatArchiveBytes(members), stream };
}

function sealedBackup(members: readonly Member[], at: number, passphrase: string) {
  const seal = newSeal();
  const inner = plainBackup(members, at);
  const outer = [
    memberOf(SEAL_NAME, new TextEncoder().encode(JSON.stringify(seal))),
    {
      name: SEALED_NAME,
      bytes: sealedBytes(inner.bytes, seal),
      content: () => sealStream(inner.stream, passphrase, seal),
    },
  ];
  const stream = writeFlatArchive("sealed backup", outer, at);
  return { bytes: flatArchiveBytes(outer), stream };
}

async function measure(path: string): Promise<{ bytes: number; sha256: string }> {
  const hasher = newHasher();
  let bytes = 0;
  for await (const piece of readFile(path)) {
    hasher.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hasher.digest() };
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  for await (const bytes of fs.createReadStream(path, { highWaterMark: 256 * 1024 })) {
    yield bytes as Uint8Array;
  }
}
