import { chmodSync, existsSync, mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../lib/errors.ts";
import type { NodeId } from "../model/ids.ts";

/** File systems that are in memory alone, as statfs(2) knows them: tmpfs and ramfs. */
const IN_MEMORY = new Set([0x0102_1994, 0x8584_58f6]);
const RUN = "/run";

/** A directory for root alone that is in memory, never on a disk; made when it is needed first. */
export interface MemoryDirectory {
  /** The directory, if it is there. */
  find(): string | undefined;
  /** @throws OrchdError `forbidden` when there is no memory for it */
  open(): Promise<string>;
}

/**
 * The node's own directory below the run directory, or below /run/orchd where that one is on a
 * disk. Where neither is in memory a tmpfs is mounted, which only a machine without a /run needs.
 */
export function memoryDirectory(runDir: string, nodeId: NodeId): MemoryDirectory {
  const own = join(runDir, "grants", nodeId);
  const usual = join(RUN, "orchd", "grants", nodeId);
  const find = () => [own, usual].find((path) => existsSync(path) && isInMemory(path));
  return {
    find,
    async open() {
      const found = find();
      if (found !== undefined) return found;
      if (isInMemory(runDir)) return makePrivate(own);
      if (existsSync(RUN) && isInMemory(RUN)) return makePrivate(usual);
      await mountTmpfs(makePrivate(own));
      return own;
    },
  };
}

export function isInMemory(path: string): boolean {
  return IN_MEMORY.has(statfsSync(path).type);
}

function makePrivate(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
    return path;
  } catch (cause) {
    throw new OrchdError("forbidden", `no directory for secrets can be made at ${path}`, { cause });
  }
}

async function mountTmpfs(path: string): Promise<void> {
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
