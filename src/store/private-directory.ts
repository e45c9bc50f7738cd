import { chmod, mkdir } from "node:fs/promises";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

/**
 * Makes a directory that only its owner can enter, with those above it.
 * @throws OrchdError `forbidden`, `noSpace` or `invalid`, each saying what to do
 */
export async function makePrivateDirectory(path: string, flag: string): Promise<void> {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 });
    if (made !== undefined) await chmod(path, 0o700);
  } catch (cause) {
    throw classify(path, flag, cause);
  }
}

function classify(path: string, flag: string, cause: unknown): unknown {
  switch (systemCodeOf(cause)) {
    case "EACCES":
    case "EPERM":
    case "EROFS": {
      const message = `the directory ${path} can't be made: run as root, or give another ${flag}`;
      return new OrchdError("forbidden", message, { cause });
    }
    case "ENOSPC":
      return new OrchdError("noSpace", `the disk is full: make room for ${path}`, { cause });
    case "EEXIST":
    case "ENOTDIR":
      return new OrchdError("invalid", `${path} is not a directory: name another with ${flag}`, {
        cause,
      });
    default:
      return cause;
  }
}
