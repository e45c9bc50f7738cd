import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { $, chalk } from "zx";
import { dist, orchd, root } from "./project.ts";

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const PID_FILE = join(dist, "server.pid");

/** Runs `dist/orchd` to its end, quietly. */
export const orchdQuietly = $({ cwd: root, quiet: true, nothrow: true });

/** Whether a server answers on this machine. */
export async function serverAnswers(): Promise<boolean> {
  return (await orchdQuietly`${orchd} nodes --json`).exitCode === 0;
}

/** Whether the node of this machine takes tasks. */
async function nodeIsReady(): Promise<boolean> {
  const { exitCode, stdout } = await orchdQuietly`${orchd} nodes --json`;
  return exitCode === 0 && /"health":\s*"ready"/.test(stdout);
}

/** A server that this script started, with its log on this terminal. */
export class ServerProcess {
  readonly #child: ChildProcess;
  #held: string[] | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface(stream).on("line", (line) => this.#say(line));
    }
  }

  /** Starts `orchd server` and waits until its node takes tasks. */
  static async start(words: string[] = []): Promise<ServerProcess> {
    // In a session of its own: Ctrl-C on the terminal reaches this script, which then stops it.
    const child = spawn(orchd, ["server", ...words], {
      cwd: root,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    writeFileSync(PID_FILE, String(child.pid));
    const server = new ServerProcess(child);
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await nodeIsReady())) {
      if (!server.runs()) throw new Error("the server ended: its last lines above say why");
      if (Date.now() > deadline) {
        await server.stop();
        throw new Error("the server is not ready: see its log above");
      }
      await pause(50);
    }
    return server;
  }

  runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Keeps the log back while another command draws on the terminal. */
  async quietlyWhile<T>(run: () => Promise<T>): Promise<T> {
    this.#held = [];
    try {
      return await run();
    } finally {
      const held = this.#held;
      this.#held = undefined;
      held.forEach((line) => this.#say(line));
    }
  }

  /** Resolves when the process has ended, with its exit code. */
  async ended(): Promise<number> {
    if (!this.runs()) return this.#child.exitCode ?? 1;
    return new Promise((resolve) => this.#child.once("exit", (code) => resolve(code ?? 1)));
  }

  /** Asks the server to stop; containers go on. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const late = pause(STOP_TIMEOUT_MS, undefined, { ref: false }).then(() => "late");
    if ((await Promise.race([this.ended(), late])) === "late") this.#child.kill("SIGKILL");
    await this.ended();
    rmSync(PID_FILE, { force: true });
  }

  #say(line: string): void {
    if (this.#held === undefined) console.log(`${chalk.dim("server |")} ${line}`);
    else this.#held.push(line);
  }
}

/** The server that an earlier `npm start` left running, by its process id. */
export function findStartedServer(): number | undefined {
  if (!existsSync(PID_FILE)) return undefined;
  const pid = Number(readFileSync(PID_FILE, "utf8"));
  const commandLine = `/proc/${pid}/cmdline`;
  const isOurs = existsSync(commandLine) && readFileSync(commandLine, "utf8").startsWith(orchd);
  return isOurs ? pid : undefined;
}
