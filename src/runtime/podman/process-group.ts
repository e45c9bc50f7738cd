import { readdirSync, readFileSync } from "node:fs";

/** One that goes on starting others while they are being ended is looked at so often. */
const ROUNDS = 5;
/** Longer than a process takes from one program to the next. */
const EXEC_MS = 10;

/** The parent of the kernel's own threads. */
const KERNEL_THREADS = 2;

/** Ends every process of a group; nothing when there is none. */
export function endGroup(leader: number): void {
  endOne(-leader);
}

/** Ends everything that a process has started, and all that shares a session with any of that. */
export function endSession(root: number): void {
  const known = new Set([root]);
  for (let round = 0; round < ROUNDS; round++) {
    const found = descendantsOf(known);
    if (found.length === 0) return;
    for (const pid of found) {
      known.add(pid);
      endOne(pid);
    }
  }
}

/**
 * Ends every process that has this among its variables, whoever its parent is by now.
 * @param older a process that is older than all of them, and may have ended
 */
export async function endMarked(mark: string, older: number): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const all = Map.groupBy(processesAfter(older), (pid) => hasVariable(pid, mark));
    const [found, unclear] = [all.get("yes") ?? [], all.get("unclear") ?? []];
    for (const pid of found) endOne(pid);
    if (found.length > 0) continue;
    if (unclear.length === 0) return;
    await Bun.sleep(EXEC_MS);
  }
}

/** Numbers of processes grow, until they begin anew. */
function processesAfter(older: number): number[] {
  const newest = Number(readFileSync("/proc/loadavg", "utf8").trim().split(" ").at(-1));
  const least = newest >= older ? older : 0;
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > least);
}

/** A process that is just going from one program to the next shows no variables. */
function hasVariable(pid: number, variable: string): "yes" | "no" | "unclear" {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, "latin1");
    if (variables === "") return isProgram(pid) ? "unclear" : "no";
    return variables.split("\0").includes(variable) ? "yes" : "no";
  } catch {
    // It has ended meanwhile.
    return "no";
  }
}

/** Whether it is neither a thread of the kernel nor has ended. */
function isProgram(pid: number): boolean {
  const stat = statOf(String(pid));
  return stat !== undefined && stat.parent !== KERNEL_THREADS && stat.state !== "Z";
}

/** A process with everything that it has started, and all that shares a session with that. */
export function familyOf(root: number): number[] {
  return [root, ...descendantsOf(new Set([root]))];
}

/** Processes, not known yet, that descend from known ones or have one of them for their leader. */
function descendantsOf(known: ReadonlySet<number>): number[] {
  const all = readdirSync("/proc").flatMap((entry) => statOf(entry) ?? []);
  const found = new Set<number>();
  const belongs = (pid: number) => known.has(pid) || found.has(pid);
  // A child may stand before its parent.
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const { pid, parent, session } of all) {
      if (!belongs(pid) && (belongs(parent) || belongs(session))) found.add(pid);
    }
  }
  return [...found];
}

interface Stat {
  pid: number;
  /** `Z` of one that has ended. */
  state: string | undefined;
  parent: number;
  session: number;
}

/** `pid (name) state ppid pgrp session …`, proc(5); the name may hold anything. */
function statOf(entry: string): Stat | undefined {
  if (!/^\d+$/.test(entry)) return undefined;
  try {
    const text = readFileSync(`/proc/${entry}/stat`, "utf8");
    const [state, parent, , session] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { pid: Number(entry), state, parent: Number(parent), session: Number(session) };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

function endOne(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
