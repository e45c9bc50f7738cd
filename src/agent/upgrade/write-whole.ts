import * as fs from "node:fs";
import { dirname } from "node:path";

/** Writes a file that is there as a whole or not at all, and durable when this returns. */
export function writeWhole(path: string, write: (file: number) => void): void {
  const draft = `${path}.new`;
  const file = fs.openSync(draft, "w", 0o600);
  try {
    write(file);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
  fs.renameSync(draft, path);
  const folder = fs.openSync(dirname(path), "r");
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}
