import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { taskIdSchema, type TaskId } from "../model/ids.ts";

/** A file that one task reads. */
export interface TaskFile {
  bytes: Uint8Array;
  uid: number;
  gid: number;
  mode: number;
}

/** The files with secrets and configs of this node's tasks, in memory alone. */
export class TaskFiles {
  readonly #directory: string;

  /** @param directory for root alone, in memory: see `memoryDirectory` */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Writes the files of a task anew; answers their paths, in the same order. None of them has its
   * name: who reads the list of mounts learns nothing.
   * @throws OrchdError `noSpace`, `runtime`
   */
  write(taskId: TaskId, files: readonly TaskFile[]): string[] {
    const directory = join(this.#directory, taskId);
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
    fs.rmSync(join(this.#directory, taskId), { recursive: true, force: true });
  }

  /** Removes what an earlier life of the agent left of tasks that are not there any more. */
  sweep(isThere: (taskId: TaskId) => boolean): void {
    for (const name of fs.readdirSync(this.#directory)) {
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
