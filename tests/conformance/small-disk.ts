import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Mounts a file system in memory that is as large as its options say; it takes root. */
export function mountTmpfs(directory: string, options: string): void {
  mount("-t", "tmpfs", "-o", options, "tmpfs", directory);
}

export function mount(...options: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["mount", ...options]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

export function unmount(directory: string): void {
  Bun.spawnSync(["umount", directory]);
}

/** Why no file system can be mounted here, if none can. */
export function mountProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can mount a file system";
  const probe = fs.mkdtempSync(join(tmpdir(), "orchd-disk-"));
  try {
    mountTmpfs(probe, "size=1m");
    unmount(probe);
    return undefined;
  } catch (error) {
    // In a container without the right to mount: the tests say why they do not run.
    return String(error);
  } finally {
    fs.rmdirSync(probe);
  }
}
