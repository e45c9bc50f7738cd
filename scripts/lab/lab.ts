import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { removeCgroups, removeStaleLabs } from "./leftovers.ts";
import { root } from "../project.ts";

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string | Uint8Array;
  env?: Record<string, string>;
  workingDir?: string;
  /** The command is killed after this time, and its code is 124, as that of `timeout`. */
  timeoutMs?: number;
}

export interface LabOptions {
  /** Known to the host itself; the machine's own name when absent. */
  hostname?: string;
  /** What an earlier life of the host left: its disk. */
  dir?: string;
}

/** A real disk, so that Podman can use overlays and fsync means something. */
export const PARENT = "/var/tmp";
export const PREFIX = "orchd-lab-";
const READY_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 60_000;
const TIMED_OUT = 124;

/** As Podman runs in a machine without systemd. */
const PODMAN = ["podman", "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"];

/**
 * A host of its own on this machine: namespaces for mounts, network and processes, with a private
 * `/run` and `/var/lib`, and so with its own Podman and its own orchd in their usual places. Its
 * first process ends when this one does, however that happens, and takes every process in it
 * along, containers too; so a crashed run leaves only files and empty cgroups, which the next one
 * removes.
 */
export class Lab {
  /** Files that both sides see under the same path. */
  readonly dir: string;
  readonly #init: ChildProcess;
  readonly #pid: number;

  private constructor(dir: string, init: ChildProcess, pid: number) {
    this.dir = dir;
    this.#init = init;
    this.#pid = pid;
  }

  static async start({ hostname = "", dir = newDirectory() }: LabOptions = {}): Promise<Lab> {
    const ready = join(dir, "ready");
    rmSync(ready, { force: true });
    const script = join(root, "scripts", "lab", "init.sh");
    const namespaces = ["--net", "--mount", "--pid", "--uts"];
    const manner = ["--propagation=private", "--mount-proc", "--fork", "--kill-child"];
    const words = [...namespaces, ...manner, "sh", script, dir, hostname];
    const init = spawn("unshare", words, { stdio: ["pipe", "inherit", "inherit"] });
    await waitUntil("the lab is ready", READY_TIMEOUT_MS, () => existsSync(ready));
    return new Lab(dir, init, onlyChildOf(init.pid ?? 0));
  }

  /** The first process, by its number outside: whoever joins its namespaces is on the host. */
  get pid(): number {
    return this.#pid;
  }

  /** The root folder inside, as a path outside. */
  get root(): string {
    return `/proc/${this.#pid}/root`;
  }

  /** Runs a command inside to its end. */
  async run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
    const child = this.spawn(command, options);
    const output = { code: TIMED_OUT, stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    child.stdin?.on("error", () => {
      // The command ended without reading its input; its exit code tells the rest.
    });
    child.stdin?.end(options.input ?? "");
    const closed = new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve(code ?? TIMED_OUT));
    });
    const limit = new AbortController();
    const late = pause(options.timeoutMs ?? COMMAND_TIMEOUT_MS, "late" as const, {
      signal: limit.signal,
    }).catch(() => "ended" as const);
    const first = await Promise.race([closed, late]);
    if (first === "late") signalInside(child, "SIGKILL");
    output.code = await closed;
    if (first === "late") output.code = TIMED_OUT;
    limit.abort();
    return output;
  }

  /** Starts a command inside; `signalInside` reaches it, a signal to the child itself does not. */
  spawn(command: readonly string[], options: RunOptions = {}): ChildProcess {
    const where = options.workingDir ?? this.dir;
    const namespaces = ["-t", String(this.#pid), "-m", "-n", "-p", "-u", "-r", `--wdns=${where}`];
    return spawn("nsenter", [...namespaces, "--", ...command], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
  }

  /** Podman inside, beside whatever orchd does with it. */
  async podman(...words: string[]): Promise<Output> {
    return this.run([...PODMAN, ...words]);
  }

  /**
   * Ends every process inside at once, containers included, and loses what was not on the disk. A
   * lab that is started on the same folder is the host after its power came back.
   */
  async cutPower(): Promise<void> {
    const init = this.#init;
    process.kill(this.#pid, "SIGKILL");
    await waitUntil("the lab has lost its power", READY_TIMEOUT_MS, () => hasEnded(init));
    removeCgroups(this.dir);
  }

  /** Ends every process inside and removes what they left. */
  async stop(): Promise<void> {
    const init = this.#init;
    // Its end of input is how the first process knows that it is time to go.
    init.stdin?.end();
    await waitUntil("the lab has ended", READY_TIMEOUT_MS, () => hasEnded(init));
    removeCgroups(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Runs a command on this machine, which must succeed; answers what it printed. */
export async function runHere([program = "", ...words]: readonly string[]): Promise<string> {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  if (code !== 0) throw new Error(`${program} ${words.join(" ")}: ${said.trim()}`);
  return printed;
}

function newDirectory(): string {
  removeStaleLabs(PARENT, PREFIX);
  const dir = mkdtempSync(join(PARENT, PREFIX));
  writeFileSync(join(dir, "owner"), String(process.pid));
  return dir;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Signals the command that a child of `spawn` runs. */
export function signalInside(child: ChildProcess, signal: NodeJS.Signals): void {
  if (hasEnded(child) || child.pid === undefined) return;
  process.kill(onlyChildOf(child.pid), signal);
}

/** The process, by its number outside, that a child of `spawn` runs. */
export function pidInside(child: ChildProcess): number {
  return onlyChildOf(child.pid ?? 0);
}

/** Looks again every few milliseconds until `isTrue`; throws after `timeoutMs`. */
export async function waitUntil(
  what: string,
  timeoutMs: number,
  isTrue: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await pause(20);
  }
}

function onlyChildOf(pid: number): number {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  if (!Number.isInteger(child) || child === 0) throw new Error(`process ${pid} has no one child`);
  return child;
}
