import { chalk } from "zx";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where everything of the project is, for the scripts. */
export const root = join(import.meta.dirname, "..");
export const dist = join(root, "dist");
export const bun = join(root, "node_modules", ".bin", "bun");
/** The executable for this machine. */
export const orchd = join(dist, "orchd");

/** Every file below a folder, from the project's root, in order. */
export function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

/** One hash over the names and contents of files. */
export function hashFiles(paths: readonly string[]): string {
  const hash = createHash("sha256");
  for (const path of paths) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/** A heading, so that a person finds the step in a long output. */
export function sayStep(text: string): void {
  console.log(chalk.bold(`\n== ${text}`));
}
