import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { isCode } from "./errors.ts";
import { ContainerdGrpc, NAMESPACE } from "./grpc.ts";
import { METHODS } from "./methods.ts";
import { findRuntime } from "../podman/machine.ts";
import { endProcess } from "../podman/service-process.ts";
import { waitFor } from "../podman/wait-for.ts";
import { SNAPSHOTTER } from "./unpack.ts";

const SYSTEM_SOCKET = "/run/containerd/containerd.sock";

export interface ServiceOptions {
  /** For the socket of a containerd of our own, FIFOs, and mounts of a moment. */
  runDir: string;
  /** For volumes, logs and how containers ended: it must outlive the machine's restart. */
  dataDir: string;
  clock: Clock;
  /** Use this socket and nothing else. */
  socket?: string;
  /** Where the machine's own one is looked for. */
  systemSocket?: string;
}

const ANSWER_MS = 10_000;
const SHIM = "containerd-shim-runc-v2";
const START_MS = 15_000;
const START_AGAIN_MS = 20;
const LOG_LINES_TOLD = 3;

/**
 * The containerd that is used: the machine's own if it has one, else one that orchd starts with
 * files of its own, starts again when it dies, and takes over from an orchd that was killed.
 * Containers do not depend on it: each has its own shim.
 */
export class ContainerdService {
  readonly #options: ServiceOptions;
  readonly grpc: ContainerdGrpc;
  /** Whether it is ours to start and to end. */
  readonly #own: boolean;
  #starting: Promise<void> | undefined;
  #closed = false;

  private constructor(options: ServiceOptions, socketPath: string, own: boolean) {
    this.#options = options;
    this.grpc = new ContainerdGrpc(socketPath);
    this.#own = own;
  }

  /** @throws OrchdError `unreachable` when nothing answers, `runtime` when that is no containerd */
  static async open(options: ServiceOptions): Promise<ContainerdService> {
    const { socket, systemSocket = SYSTEM_SOCKET, runDir } = options;
    const given = socket ?? (existsSync(systemSocket) ? systemSocket : undefined);
    const own = given === undefined;
    const service = new ContainerdService(options, given ?? join(runDir, "containerd.sock"), own);
    try {
      await service.revive();
      await requireContainerd(service.grpc);
      return service;
    } catch (error) {
      await service.close();
      throw error;
    }
  }

  /** Its process, as far as it is known. */
  pid(): number | undefined {
    return this.#own ? findServicePid(this.#configPath()) : findServicePid();
  }

  /** Makes sure that our own one runs; for one of the machine there is nothing to do. */
  revive(): Promise<void> {
    if (!this.#own || this.#closed) return Promise.resolve();
    this.#starting ??= this.#revive().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  /** Ends it if it is ours. Containers go on. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#starting?.catch(() => {
      // Whoever asked for the start was told that it failed; here it only has to be over.
    });
    this.grpc.close();
    const pid = this.#own ? findServicePid(this.#configPath()) : undefined;
    if (pid !== undefined) await endProcess(pid, this.#options.clock);
  }

  async #revive(): Promise<void> {
    if (await this.#answers()) return;
    const hung = findServicePid(this.#configPath());
    // Two would fight over one directory.
    if (hung !== undefined) await endProcess(hung, this.#options.clock);
    const { clock, runDir } = this.#options;
    if (Bun.which("containerd") === null) {
      const message = "containerd is not on this machine (Debian: apt install containerd)";
      throw new OrchdError("runtime", message);
    }
    const log = join(runDir, "containerd-service.log");
    writeFileSync(this.#configPath(), this.#config());
    const child = spawnContainerd(this.#configPath(), log);
    const deadline = clock.monotonicNow() + START_MS;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || clock.monotonicNow() > deadline) {
        child.kill("SIGKILL");
        const message = `containerd did not start: ${lastLines(log)}`;
        throw new OrchdError("unreachable", message, { retryable: true });
      }
      await waitFor(clock, START_AGAIN_MS);
    }
  }

  #answers(): Promise<boolean> {
    return this.grpc.call(METHODS.version, {}, { timeoutMs: ANSWER_MS }).then(
      () => true,
      () => false,
    );
  }

  #configPath(): string {
    return join(this.#options.runDir, "containerd.toml");
  }

  /** Without what is for Kubernetes. */
  #config(): string {
    const { runDir, dataDir } = this.#options;
    const { socketPath } = this.grpc;
    return [
      "version = 2",
      `root = ${JSON.stringify(join(dataDir, "containerd", "root"))}`,
      `state = ${JSON.stringify(join(runDir, "containerd"))}`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      "[grpc]",
      `  address = ${JSON.stringify(socketPath)}`,
      "[ttrpc]",
      `  address = ${JSON.stringify(`${socketPath}.ttrpc`)}`,
      "",
    ].join("\n");
  }
}

function spawnContainerd(config: string, log: string): Bun.Subprocess {
  rmSync(log, { force: true });
  // A file and not a pipe: a service that outlives a killed orchd must not die of SIGPIPE.
  const file = openSync(log, "a", 0o600);
  try {
    return Bun.spawn(["containerd", "--config", config, "--log-level", "warn"], {
      stdio: ["ignore", file, file],
      // A session of its own: Ctrl-C in the terminal of orchd is not meant for it.
      detached: true,
      env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
    });
  } finally {
    closeSync(file);
  }
}

function lastLines(log: string): string {
  const lines = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  if (lines.length === 0) return "it said nothing within 15 seconds";
  return lines.slice(-LOG_LINES_TOLD).join(" / ").slice(-1000);
}

/**
 * Makes sure that what answers is a containerd that containers can be run with.
 * @throws OrchdError with what is missing, and how it is had
 */
async function requireContainerd(grpc: ContainerdGrpc): Promise<void> {
  const { version } = await grpc.call(METHODS.version, {}, { timeoutMs: ANSWER_MS });
  const [, major = 0, minor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  if (major < 1 || (major === 1 && minor < 6)) {
    throw new OrchdError("runtime", `containerd ${version} is too old: orchd needs 1.6 or later`);
  }
  const missing = ["runc", SHIM].find((name) => findRuntime(name) === undefined);
  if (missing !== undefined) {
    const name = missing === SHIM ? "containerd" : missing;
    throw new OrchdError(
      "runtime",
      `containerd finds no ${missing} on this machine (Debian: apt install ${name})`,
    );
  }
  const { plugins } = await grpc.call(METHODS.plugins, { filters: [`id==${SNAPSHOTTER}`] });
  const trouble = plugins.find(({ initErr }) => initErr !== null)?.initErr?.message;
  if (plugins.length === 0 || trouble !== undefined) {
    throw new OrchdError(
      "runtime",
      `containerd has no file systems in layers (overlayfs): ${trouble ?? "it is switched off"}`,
    );
  }
  try {
    await grpc.call(METHODS.createNamespace, { namespace: { name: NAMESPACE } });
  } catch (error) {
    if (!isCode(error, "conflict")) throw error;
  }
}

/**
 * containerd's process, whose limits those of containers can't exceed; as far as it is known.
 * @param word one of its command line; absent: any containerd
 */
function findServicePid(word?: string): number | undefined {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      const isOne = words[0]?.split("/").at(-1) === "containerd";
      if (isOne && (word === undefined || words.includes(word))) return Number(entry);
    } catch {
      // It has ended meanwhile.
    }
  }
  return undefined;
}
