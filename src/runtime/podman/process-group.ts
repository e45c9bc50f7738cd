import { readdirSync, readFileSync } from "node:fs";

/** One that goes on starting others while they are being ended is looked at so often. */
const ROUNDS = 5;

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
export function endMarked(mark: string, older: number): void {
  for (let round = 0; round < ROUNDS; round++) {
    const found = processesAfter(older).filter((pid) => hasVariable(pid, mark));
    if (found.length === 0) return;
    for (const pid of found) endOne(pid);
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

function hasVariable(pid: number, variable: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(variable);
  } catch {
    // It has ended meanwhile.
    return false;
  }
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

/** `pid (name) state ppid pgrp session …`, proc(5); the name may hold anything. */
function statOf(entry: string): { pid: number; parent: number; session: number } | undefined {
  if (!/^\d+$/.test(entry)) return undefined;
  try {
    const text = readFileSync(`/proc/${entry}/stat`, "utf8");
    const [, parent, , session] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { pid: Number(entry), parent: Number(parent), session: Number(session) };
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
