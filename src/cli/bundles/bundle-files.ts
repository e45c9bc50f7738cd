import { readFileSync, statSync } from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import { archiveFromStdin } from "../archives/read-archive.ts";
import { readTextFile } from "../compose/read-file.ts";
import { pathFrom } from "../context.ts";
import type { Io } from "../io.ts";

/** Of the list of what a target has: some 40,000 lines. */
const HAVE_BYTES_MAX = 4 * 1024 * 1024;

/** A bundle's bytes. @throws OrchdError `invalid` when there is no such file */
export function streamOfBundle(io: Io, file: string): ReadableStream<Uint8Array> {
  if (file === "-") return archiveFromStdin(io);
  const path = pathFrom(io, file);
  if (isFile(path)) return Bun.file(path).stream();
  throw new OrchdError("invalid", `can't read ${file}: there is no such file`);
}

/** A key as PEM. @throws OrchdError `invalid` */
export function readKeyFile(io: Io, file: string): string {
  return readSmall(io, file);
}

/** A sealing key: the line itself, or a file that holds it. */
export function readSealingKey(io: Io, word: string): string {
  return word.startsWith("orchd-seal-") ? word : readSmall(io, word).trim();
}

/** Digests, one a line. @throws OrchdError `invalid` */
export function readHaveFile(io: Io, file: string): string[] {
  const path = pathFrom(io, file);
  if (!isFile(path) || statSync(path).size > HAVE_BYTES_MAX) {
    throw new OrchdError("invalid", `can't read ${file}: it is no list of \`orchd bundle have\``);
  }
  const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
  const odd = lines.find((line) => !/^sha256:[0-9a-f]{64}$/.test(line));
  if (odd === undefined) return lines;
  throw new OrchdError("invalid", `${file} is no list of \`orchd bundle have\``);
}

function readSmall(io: Io, file: string): string {
  const read = readTextFile(pathFrom(io, file));
  if (read.ok) return read.text;
  throw new OrchdError("invalid", `can't read ${file}: ${read.message}`);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
