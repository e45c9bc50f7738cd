import * as fs from "node:fs";
import { isAbsolute, join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";

/** A program, by the path that it is run by and the file that this leads to. */
export interface Program {
  path: string;
  real: string;
}

export interface ProgramSearch {
  /** `PATH` of its environment. */
  path: string;
  workingDir: string;
  /** Where a path of the process is on the machine, which mounts may change. */
  onMachine: (path: string) => string;
  /** Directories whose programs may be run. */
  allowed: readonly string[];
}

const EXECUTABLE = 0o111;

/**
 * The program that a word means, as a shell would find it. Links are followed before anything is
 * decided: one in an allowed directory that leads out of it leads nowhere.
 * @throws OrchdError `runtime` when there is none, `forbidden` when the node does not allow it
 */
export function findProgram(word: string, search: ProgramSearch): Program {
  const found = candidatesOf(word, search).find((path) => realOf(search.onMachine(path)));
  const real = found === undefined ? undefined : realOf(search.onMachine(found));
  if (found === undefined || real === undefined) {
    throw new OrchdError("runtime", `the command "${word}" was not found on the node`);
  }
  const stat = fs.statSync(real);
  if (!stat.isFile() || (stat.mode & EXECUTABLE) === 0) {
    throw new OrchdError("runtime", `the command "${word}" can't be executed`);
  }
  const { allowed } = search;
  if (allowed.some((directory) => isWithin(real, realOf(directory) ?? directory))) {
    return { path: found, real };
  }
  const leads = real === found ? found : `${found}, which leads to ${real},`;
  const rule = allowed.length === 0 ? "nothing" : allowed.join(", ");
  throw new OrchdError(
    "forbidden",
    `${leads} may not be run on this node: its --allow-process names ${rule}`,
  );
}

function candidatesOf(word: string, { path, workingDir }: ProgramSearch): string[] {
  if (isAbsolute(word)) return [word];
  if (word.includes("/")) return [join(workingDir, word)];
  const directories = path.split(":").filter((directory) => isAbsolute(directory));
  return word === "" ? [] : directories.map((directory) => join(directory, word));
}

function realOf(path: string): string | undefined {
  try {
    return fs.realpathSync(path);
  } catch {
    // There is none.
    return undefined;
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
