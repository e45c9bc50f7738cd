import * as fs from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { ArchiveReader } from "../../core/archive/archive-reader.ts";
import type { ArchiveKind } from "../../core/archive/seal.ts";
import { newHasher } from "./flat-archive.ts";
import {
  BACKUP_FORMAT,
  DATABASE_NAME,
  KEY_NAMES,
  MANIFEST_NAME,
  type Manifest,
  manifestSchema,
  SEAL_NAME,
  SEALED_NAME,
  sealSchema,
} from "./manifest.ts";
import { openStream } from "./sealing.ts";

/** Of the two files that people write nothing into. */
const TEXT_BYTES_MAX = 64 * 1024;

/**
 * Takes a backup apart into a directory, and believes none of it before all of it was checked. On
 * return the directory holds the database, as it was.
 * @throws OrchdError `damaged` when it is cut off or altered, `invalid` when it is none or newer,
 * `forbidden` when the passphrase is another one
 */
export async function readBackup(
  path: string,
  directory: string,
  passphrase: string | undefined,
): Promise<Manifest> {
  const kind = kindOf(path);
  const roomFor = roomIn(directory);
  if (kind === "cluster backup") return readPlain(readFile(path), directory, roomFor);
  await unpack(readFile(path), { kind, names: [SEAL_NAME, SEALED_NAME], directory, roomFor });
  const seal = readJson(join(directory, SEAL_NAME), sealSchema);
  if (passphrase === undefined) {
    const message = "the backup is sealed: give its passphrase with --passphrase-file";
    throw new OrchdError("forbidden", message);
  }
  const sealed = join(directory, SEALED_NAME);
  const manifest = await readPlain(
    openStream(readFile(sealed), passphrase, seal),
    directory,
    roomFor,
  );
  fs.rmSync(sealed);
  return manifest;
}

async function readPlain(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  roomFor: number,
): Promise<Manifest> {
  const names = [MANIFEST_NAME, DATABASE_NAME];
  const digests = await unpack(source, {
    kind: "cluster backup",
    names,
    others: KEY_NAMES,
    directory,
    roomFor,
  });
  const path = join(directory, MANIFEST_NAME);
  // A later format may look in any way: its number comes first.
  const { format } = readJson(path, z.object({ format: z.int().min(1) }));
  if (format > BACKUP_FORMAT) throw newerBackup();
  const manifest = readJson(path, manifestSchema);
  const { files } = manifest;
  const isAll = files.length === digests.size - 1;
  if (!isAll || files.some(({ name, sha256 }) => digests.get(name) !== sha256)) throw altered();
  return manifest;
}

interface Unpacking {
  kind: ArchiveKind;
  /** What it has to hold, in this order. */
  names: readonly string[];
  /** What it may hold after that; nothing else. */
  others?: readonly string[];
  directory: string;
  /** Bytes. */
  roomFor: number;
}

/** Answers the digest of each file. */
async function unpack(
  source: AsyncIterable<Uint8Array>,
  { kind, names, others = [], directory, roomFor }: Unpacking,
): Promise<Map<string, string>> {
  const limits = { entriesMax: names.length + others.length, bytesMax: roomFor };
  const reader = new ArchiveReader(kind, newHasher(), limits);
  const digests = new Map<string, string>();
  const missing = [...names];
  let file: OpenFile | undefined;
  const close = () => {
    if (file !== undefined) digests.set(file.name, file.close());
    file = undefined;
  };
  try {
    for await (const chunk of source) {
      for (const event of reader.push(chunk)) {
        if (event.type === "problem") throw refusalOf(event.message);
        if (event.type === "data") file?.write(event.bytes);
        if (event.type !== "entry") continue;
        close();
        const { kind: type, path, size } = event.entry;
        const wanted = missing.shift();
        const isMeant = wanted === undefined ? others.includes(path) : path === wanted;
        if (type !== "file" || !isMeant || digests.has(path)) throw altered();
        if (path !== DATABASE_NAME && path !== SEALED_NAME && size > TEXT_BYTES_MAX)
          throw altered();
        file = openFile(directory, path);
      }
    }
    close();
    const end = reader.finish();
    if (end.type === "problem") throw refusalOf(end.message);
    if (missing.length > 0) throw altered();
    return digests;
  } finally {
    close();
  }
}

interface OpenFile {
  name: string;
  write(bytes: Uint8Array): void;
  /** Answers the digest of what was written. */
  close(): string;
}

function openFile(directory: string, name: string): OpenFile {
  const hasher = newHasher();
  const descriptor = fs.openSync(join(directory, name), "wx", 0o600);
  return {
    name,
    write(bytes) {
      hasher.update(bytes);
      for (let at = 0; at < bytes.length;) at += fs.writeSync(descriptor, bytes, at);
    },
    close() {
      fs.fsyncSync(descriptor);
      fs.closeSync(descriptor);
      return hasher.digest();
    },
  };
}

/** Which of the two kinds it is, by its first bytes. */
function kindOf(path: string): ArchiveKind {
  const head = Buffer.alloc(1024);
  const descriptor = openBackup(path);
  const length = fs.readSync(descriptor, head, 0, head.length, 0);
  fs.closeSync(descriptor);
  if (length === 0) throw new OrchdError("damaged", "the backup is empty: use another one");
  return head.includes("orchd sealed backup ") ? "sealed backup" : "cluster backup";
}

function openBackup(path: string): number {
  try {
    if (fs.statSync(path).isFile()) return fs.openSync(path, "r");
  } catch (cause) {
    throw new OrchdError("invalid", `the backup ${path} can't be read`, { cause });
  }
  throw new OrchdError("invalid", `${path} is not a file: name a backup`);
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  for await (const bytes of fs.createReadStream(path, { highWaterMark: 256 * 1024 })) {
    yield bytes as Uint8Array;
  }
}

function readJson<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(fs.readFileSync(path, "utf8")));
  } catch (cause) {
    // Its checksum is right, so it was written so: by somebody else, or by a later orchd.
    throw new OrchdError("invalid", "the backup's own description makes no sense", { cause });
  }
}

function roomIn(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}

function refusalOf(problem: string): OrchdError {
  const isForeign = /^this is no|newer orchd|^the archive is a /.test(problem);
  return new OrchdError(isForeign ? "invalid" : "damaged", `the backup is refused: ${problem}`);
}

export function newerBackup(): OrchdError {
  return new OrchdError("invalid", "the backup was made by a newer orchd: use that version");
}

function altered(): OrchdError {
  return new OrchdError("damaged", "the backup was altered: use another one");
}
