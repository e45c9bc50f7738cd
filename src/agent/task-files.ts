import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { taskIdSchema, type TaskId } from "../model/ids.ts";
import type { MemoryDirectory } from "./memory-directory.ts";

/** A file that one task reads. */
export interface TaskFile {
  bytes: Uint8Array;
  uid: number;
  gid: number;
  mode: number;
}

/** The files with secrets and configs of this node's tasks, in memory alone. */
export class TaskFiles {
  readonly #directory: MemoryDirectory;

  constructor(directory: MemoryDirectory) {
    this.#directory = directory;
  }

  /**
   * Writes the files of a task anew; answers their paths, in the same order. None of them has its
   * name: who reads the list of mounts learns nothing.
   * @throws OrchdError `noSpace`, `forbidden`, `runtime`
   */
  async write(taskId: TaskId, files: readonly TaskFile[]): Promise<string[]> {
    const directory = join(await this.#directory.open(), taskId);
    try {
      fs.rmSync(directory, { recursive: true, force: true });
      fs.mkdirSync(directory, { mode: 0o700 });
      return files.map((file, i) => {
        const path = join(directory, String(i));
        writeFile(path, file);
        return path;
      });
    } catch (cause) {
      const code = systemCodeOf(cause) === "ENOSPC" ? "noSpace" : "runtime";
      const what = code === "noSpace" ? "the node's memory has no room for" : "the node can't keep";
      throw new OrchdError(code, `${what} the secrets and configs of the task`, { cause });
    }
  }

  remove(taskId: TaskId): void {
    const directory = this.#directory.find();
    if (directory === undefined) return;
    fs.rmSync(join(directory, taskId), { recursive: true, force: true });
  }

  /** Removes what an earlier life of the agent left of tasks that are not there any more. */
  sweep(isThere: (taskId: TaskId) => boolean): void {
    const directory = this.#directory.find();
    for (const name of directory === undefined ? [] : fs.readdirSync(directory)) {
      const taskId = taskIdSchema.safeParse(name).data;
      if (taskId !== undefined && !isThere(taskId)) this.remove(taskId);
    }
  }
}

/** Nobody but root can open it before it has its owner and its mode. */
function writeFile(path: string, { bytes, uid, gid, mode }: TaskFile): void {
  const descriptor = fs.openSync(path, "wx", 0o600);
  try {
    for (let at = 0; at < bytes.length;) at += fs.writeSync(descriptor, bytes, at);
    fs.fchownSync(descriptor, uid, gid);
    fs.fchmodSync(descriptor, mode);
  } finally {
    fs.closeSync(descriptor);
  }
}
