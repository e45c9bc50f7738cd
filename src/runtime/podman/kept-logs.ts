import * as fs from "node:fs";
import { systemCodeOf } from "../../lib/errors.ts";

/**
 * conmon begins a new log file when one is full, and the old one is gone. A second name for the
 * file that is being written keeps it: when the file has been replaced, what has that name is the
 * part before, and moves on to the next name.
 */
const LIVE = ".live";
/** The parts that are kept beside the file itself, the latest first. */
export const KEPT_PARTS = [".1", ".2"] as const;

/** Sees whether a log was rotated since the last look, and keeps what was. */
export function keepRotated(path: string): void {
  const current = inodeOf(path);
  if (current === undefined) return;
  const known = inodeOf(`${path}${LIVE}`);
  if (known === current) return;
  try {
    if (known !== undefined) {
      const [latest, oldest] = KEPT_PARTS;
      if (inodeOf(`${path}${latest}`) !== undefined) {
        fs.renameSync(`${path}${latest}`, `${path}${oldest}`);
      }
      fs.renameSync(`${path}${LIVE}`, `${path}${latest}`);
    }
    fs.linkSync(path, `${path}${LIVE}`);
  } catch (error) {
    // The container was removed, or its log was rotated again: the next look sees that.
    const code = systemCodeOf(error);
    if (code !== "ENOENT" && code !== "EEXIST") throw error;
  }
}

/** Removes the parts that are kept beside the log itself. */
export function dropRotated(path: string): void {
  for (const part of KEPT_PARTS) fs.rmSync(`${path}${part}`, { force: true });
}

function inodeOf(path: string): number | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })?.ino;
}
