import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { PodmanHttp } from "./http.ts";
import { probeMachine } from "./machine.ts";
import { endProcess, findService, isAlive } from "./service-process.ts";
import { waitFor } from "./wait-for.ts";
import { planServiceFlags } from "./service-flags.ts";

export const SYSTEM_SOCKET = "/run/podman/podman.sock";

export interface ServiceOptions {
  /** Where the socket and the log of a service that orchd starts are kept. */
  runDir: string;
  clock: Clock;
  /** Use this socket and nothing else. */
  socket?: string;
  /** Start an own service with these further flags, whatever else answers. */
  flags?: readonly string[];
  environment?: Record<string, string>;
}

const START_TIMEOUT_MS = 15_000;
const START_POLL_MS = 10;
const LOG_BYTES_MAX = 4 * 1024 * 1024;
const LOG_CHECK_MS = 3_600_000;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 30_000;
/** A service that ran for so long is started again at once when it dies. */
const HEALTHY_AFTER_MS = 60_000;
const LOG_LINES_TOLD = 3;

/**
 * The service behind Podman's socket: one of the system's if it answers, else our own, which is
 * started again when it dies and taken over by the next orchd when this one is killed. Containers
 * do not depend on it: each has its own monitor process (conmon).
 */
export class PodmanService {
  readonly #options: ServiceOptions;
  readonly http: PodmanHttp;
  /** Whether it is ours to start and to end. */
  readonly own: boolean;
  #pid: number | undefined;
  #closed = false;
  #backoffMs = BACKOFF_FIRST_MS;
  #startedAt = 0;
  #retry: Timer | undefined;
  #logCheck: Timer | undefined;
  #starting: Promise<void> | undefined;

  private constructor(options: ServiceOptions, socketPath: string, own: boolean) {
    this.#options = options;
    this.http = new PodmanHttp(socketPath);
    this.own = own;
  }

  /** Finds a service that answers or starts one. */
  static async open(options: ServiceOptions): Promise<PodmanService> {
    if (options.socket !== undefined) {
      const given = new PodmanService(options, options.socket, false);
      // Fails with the reason when nothing answers there.
      await given.http.text("GET", "/_ping", { timeoutMs: START_TIMEOUT_MS });
      return given;
    }
    if (options.flags === undefined && existsSync(SYSTEM_SOCKET)) {
      const system = new PodmanService(options, SYSTEM_SOCKET, false);
      if (await system.http.ping()) return system;
    }
    const own = new PodmanService(options, join(options.runDir, "podman.sock"), true);
    await own.revive();
    return own;
  }

  /** The service's process, as far as it is known. */
  pid(): number | undefined {
    const byPath = this.#pid ?? findService(this.http.socketPath);
    // The system's may have been given its socket open, without a path on its command line.
    return byPath ?? (this.own ? undefined : findService());
  }

  /** Makes sure that our own service runs; for one of the system there is nothing to do. */
  revive(): Promise<void> {
    if (!this.own || this.#closed) return Promise.resolve();
    this.#starting ??= this.#revive().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  /** Ends the service if it is ours. Containers go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#starting?.catch(() => {
      // Whoever asked for the start was told that it failed; here it only has to be over.
    });
    this.#logCheck?.cancel();
    const pid = this.own ? this.pid() : undefined;
    if (pid === undefined) return;
    await endProcess(pid, this.#options.clock);
    await rm(this.http.socketPath, { force: true });
  }

  async #revive(): Promise<void> {
    if (await this.http.ping()) {
      this.#pid = findService(this.http.socketPath);
      return;
    }
    const hung = findService(this.http.socketPath);
    if (hung !== undefined) {
      if (isAlive(hung) && (await this.http.ping(START_TIMEOUT_MS))) return;
      // Two services would fight over one socket.
      await endProcess(hung, this.#options.clock);
    }
    await this.#start();
  }

  async #start(): Promise<void> {
    const { runDir, clock } = this.#options;
    await mkdir(runDir, { recursive: true, mode: 0o700 });
    await rm(this.http.socketPath, { force: true });
    const log = this.#logPath();
    await rm(log, { force: true });
    const child = this.#spawn(log);
    this.#pid = child.pid;
    this.#startedAt = clock.monotonicNow();
    const deadline = this.#startedAt + START_TIMEOUT_MS;
    while (!(existsSync(this.http.socketPath) && (await this.http.ping()))) {
      if (child.exitCode !== null || child.signalCode !== null || clock.monotonicNow() > deadline) {
        child.kill("SIGKILL");
        throw new OrchdError(
          "unreachable",
          `Podman's service did not start: ${await lastLines(log)}`,
          { retryable: true },
        );
      }
      await waitFor(clock, START_POLL_MS);
    }
    void child.exited.then(() => this.#onExit(child.pid));
    this.#checkLogLater();
  }

  #spawn(log: string): Bun.Subprocess {
    const environment = { ...environmentForService(), ...this.#options.environment };
    const executable = Bun.which("podman", { PATH: environment["PATH"] ?? "" });
    if (executable === null) {
      throw new OrchdError(
        "runtime",
        "Podman is not installed on this machine; install it (Debian: apt install podman runc)",
      );
    }
    const plan = planServiceFlags(probeMachine());
    if (!plan.ok) throw new OrchdError("runtime", plan.problem);
    const flags = [...plan.flags, ...(this.#options.flags ?? [])];
    const socket = `unix://${this.http.socketPath}`;
    // A file and not a pipe: a service that outlives a killed orchd must not die of SIGPIPE.
    const fd = openSync(log, "a", 0o600);
    try {
      return Bun.spawn([executable, ...flags, "system", "service", "-t", "0", socket], {
        stdio: ["ignore", fd, fd],
        // A session of its own: Ctrl-C in the terminal of orchd is not meant for it.
        detached: true,
        env: environment,
        // conmon inherits it, and leaves a file named `oom` where it happens to be.
        cwd: this.#options.runDir,
      });
    } finally {
      closeSync(fd);
    }
  }

  #onExit(pid: number): void {
    if (this.#pid === pid) this.#pid = undefined;
    if (this.#closed) return;
    const { clock } = this.#options;
    if (clock.monotonicNow() - this.#startedAt > HEALTHY_AFTER_MS)
      this.#backoffMs = BACKOFF_FIRST_MS;
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry?.cancel();
    this.#retry = this.#options.clock.after(this.#backoffMs, () => {
      this.revive().catch(() => {
        // Callers see `unreachable` from their own calls meanwhile.
        if (!this.#closed) this.#retryLater();
      });
    });
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MAX_MS);
  }

  #logPath(): string {
    return join(this.#options.runDir, "podman-service.log");
  }

  /** Empties the log once it is large: the service appends, so it simply goes on at the start. */
  #checkLogLater(): void {
    this.#logCheck?.cancel();
    this.#logCheck = this.#options.clock.after(LOG_CHECK_MS, () => {
      void emptyWhenLarge(this.#logPath()).then(() => {
        if (!this.#closed) this.#checkLogLater();
      });
    });
  }
}

/** What concerns orchd's own supervisor is not handed on: containers would inherit it. */
function environmentForService(): Record<string, string | undefined> {
  const { NOTIFY_SOCKET: _n, LISTEN_FDS: _f, LISTEN_PID: _p, ...rest } = process.env;
  return rest;
}

async function emptyWhenLarge(path: string): Promise<void> {
  try {
    if ((await stat(path)).size > LOG_BYTES_MAX) await truncate(path);
  } catch {
    // Somebody removed it; the service goes on writing to what nobody sees.
  }
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return "it said nothing within 15 seconds";
  return lines.slice(-LOG_LINES_TOLD).join(" / ").slice(-1000);
}
