import { chmodSync, mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../lib/errors.ts";
import type { NodeId } from "../model/ids.ts";

/** File systems that are in memory alone, as statfs(2) knows them: tmpfs and ramfs. */
const IN_MEMORY = new Set([0x0102_1994, 0x8584_58f6]);
/** Where there is nearly always one. */
const USUAL_RUN_DIR = "/run/orchd";

/**
 * A directory for root alone that is in memory, never on a disk: below the run directory, or below
 * /run/orchd where that one is on a disk. Where neither is in memory a tmpfs is mounted.
 * @throws OrchdError `forbidden` when there is none and none can be mounted
 */
export async function memoryDirectory(runDir: string, nodeId: NodeId): Promise<string> {
  for (const parent of [runDir, USUAL_RUN_DIR]) {
    const path = join(parent, "grants", nodeId);
    if (makePrivate(path) && isInMemory(path)) return path;
  }
  const path = join(runDir, "grants", nodeId);
  await mountTmpfs(path);
  return path;
}

export function isInMemory(path: string): boolean {
  return IN_MEMORY.has(statfsSync(path).type);
}

/** Whether it is there then. */
function makePrivate(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    return true;
  } catch {
    // A parent that can't be written to: the next one may do.
    return false;
  }
}

async function mountTmpfs(path: string): Promise<void> {
  makePrivate(path);
  const options = "mode=0700,nosuid,nodev,noexec,size=25%";
  const command = ["mount", "-t", "tmpfs", "-o", options, "orchd", path];
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  const [code, text] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code === 0 && isInMemory(path)) return;
  throw new OrchdError(
    "forbidden",
    `no memory for the files of secrets can be had at ${path}: mount a tmpfs there`,
    { cause: new Error(text.trim()) },
  );
}
