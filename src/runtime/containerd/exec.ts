import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { systemRandom } from "../../lib/random.ts";
import type { TaskId } from "../../model/ids.ts";
import type { ExecOptions, ExecSession, TerminalSize } from "../../model/session.ts";
import type { OutputChunk } from "../podman/frames.ts";
import { anyOf, type ContainerdGrpc } from "./grpc.ts";
import { makeFifo } from "./libc.ts";
import { METHODS } from "./methods.ts";

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
const SIGKILL = 9;
const SIGHUP = 1;
const WRITE_AGAIN_MS = 5;
const DAY_MS = 86_400_000;

export interface ExecTarget {
  grpc: ContainerdGrpc;
  taskId: TaskId;
  /** For the FIFOs of commands. */
  directory: string;
  /** The command as the OCI runtime is to run it. */
  process: Record<string, unknown>;
}

/**
 * Runs a command in a container and answers its session.
 * @throws OrchdError `runtime` for a command that can't be run
 */
export async function openExec(target: ExecTarget, options: ExecOptions): Promise<ExecSession> {
  const execId = newId(systemRandom);
  const pipes = await Pipes.make(join(target.directory, execId), options);
  const { grpc, taskId } = target;
  try {
    await grpc.call(METHODS.exec, {
      containerId: taskId,
      execId,
      ...pipes.paths,
      terminal: options.tty,
      spec: anyOf("types.containerd.io/opencontainers/runtime-spec/1/Process", target.process),
    });
  } catch (error) {
    pipes.close();
    throw error;
  }
  const exit = grpc.call(
    METHODS.waitProcess,
    { containerId: taskId, execId },
    { timeoutMs: DAY_MS },
  );
  exit.catch(() => {
    // It was never started, or containerd went away: told below.
  });
  try {
    await grpc.call(METHODS.startProcess, { containerId: taskId, execId });
  } catch (error) {
    pipes.close();
    await grpc.call(METHODS.deleteProcess, { containerId: taskId, execId }).catch(() => {
      // There is nothing of it.
    });
    throw error;
  }
  return new ContainerdExec(target, execId, pipes, exit);
}

class ContainerdExec implements ExecSession {
  readonly #grpc: ContainerdGrpc;
  readonly #process: { containerId: TaskId; execId: string };
  readonly #pipes: Pipes;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exitCode: Promise<number>;
  #ended = false;

  constructor(
    { grpc, taskId }: ExecTarget,
    execId: string,
    pipes: Pipes,
    exit: Promise<{ exitStatus: number }>,
  ) {
    this.#grpc = grpc;
    this.#process = { containerId: taskId, execId };
    this.#pipes = pipes;
    this.output = pipes.output();
    const over = this.#finish(exit);
    this.exitCode = Promise.all([over, pipes.drained]).then(([code]) => code);
    this.exitCode.catch(() => {
      // Those who wait for it are told; nobody has to wait.
    });
  }

  write(data: Uint8Array): Promise<void> {
    return this.#pipes.write(data);
  }

  closeStdin(): void {
    this.#pipes.closeInput();
    void this.#grpc.call(METHODS.closeIo, { ...this.#process, stdin: true }).catch(() => {
      // The command has ended already.
    });
  }

  async resize({ columns, rows }: TerminalSize): Promise<void> {
    if (this.#ended) return;
    await this.#grpc.call(METHODS.resize, { ...this.#process, width: columns, height: rows });
  }

  close(): void {
    this.#pipes.abandon();
    if (this.#ended) return;
    for (const signal of [SIGHUP, SIGKILL]) {
      void this.#grpc.call(METHODS.kill, { ...this.#process, signal }).catch(() => {
        // The command has ended already.
      });
    }
  }

  /** Deleting it waits until all of its output is in the pipes. */
  async #finish(exit: Promise<{ exitStatus: number }>): Promise<number> {
    try {
      const { exitStatus } = await exit;
      return exitStatus;
    } catch (cause) {
      throw new OrchdError("runtime", "the command's end can't be known", { cause });
    } finally {
      this.#ended = true;
      await this.#grpc.call(METHODS.deleteProcess, this.#process).catch(() => {
        // It went with its container.
      });
      this.#pipes.end();
    }
  }
}

/** The FIFOs between a command and us. */
class Pipes {
  readonly #directory: string;
  readonly paths: { stdin: string; stdout: string; stderr: string };
  readonly #input: number | undefined;
  /** We write to its outputs as well, and so they don't end before we say so. */
  readonly #keepers: number[];
  readonly #outputs: { stream: "stdout" | "stderr"; file: number }[];
  readonly drained: Promise<void>;
  #onDrained: () => void = () => {};
  #inputOpen: boolean;
  #abandoned = false;
  #isRead = false;
  readonly #giveUp = new AbortController();

  private constructor(directory: string, options: ExecOptions) {
    const path = (name: string, isThere: boolean) => (isThere ? join(directory, name) : "");
    this.#directory = directory;
    this.paths = {
      stdin: path("stdin", options.stdin),
      stdout: path("stdout", true),
      stderr: path("stderr", !options.tty),
    };
    const open = (name: string, flags: number) => fs.openSync(name, flags | O_NONBLOCK);
    const names = options.tty ? (["stdout"] as const) : (["stdout", "stderr"] as const);
    this.#outputs = names.map((stream) => ({ stream, file: open(this.paths[stream], O_RDONLY) }));
    this.#keepers = names.map((stream) => open(this.paths[stream], O_WRONLY));
    this.#input = options.stdin ? openInput(this.paths.stdin) : undefined;
    this.#inputOpen = options.stdin;
    this.drained = new Promise((resolve) => (this.#onDrained = resolve));
  }

  static async make(directory: string, options: ExecOptions): Promise<Pipes> {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of ["stdin", "stdout", "stderr"]) {
      if (await makeFifo(join(directory, name))) continue;
      throw new OrchdError("runtime", `no pipe for a command can be made in ${directory}`);
    }
    return new Pipes(directory, options);
  }

  async *output(): AsyncGenerator<OutputChunk> {
    this.#isRead = true;
    const chunks = this.#outputs.map(({ stream, file }) => chunksOf(stream, file));
    const waiting = new Map(chunks.map((source) => [source, source.next()]));
    const gaveUp = new Promise<undefined>((resolve) => {
      this.#giveUp.signal.addEventListener("abort", () => resolve(undefined), { once: true });
      if (this.#abandoned) resolve(undefined);
    });
    while (waiting.size > 0) {
      const race = [...waiting].map(([source, next]) =>
        next.then((result) => ({ source, result })),
      );
      const first = await Promise.race([gaveUp, ...race]);
      if (first === undefined) break;
      if (first.result.done === true) {
        waiting.delete(first.source);
        continue;
      }
      waiting.set(first.source, first.source.next());
      yield first.result.value;
    }
    for (const source of waiting.keys()) void source.return(undefined);
    this.#onDrained();
  }

  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length && this.#inputOpen && this.#input !== undefined;) {
      try {
        at += fs.writeSync(this.#input, data, at);
      } catch (error) {
        if (!isFull(error)) return this.closeInput();
        await Bun.sleep(WRITE_AGAIN_MS);
      }
    }
  }

  closeInput(): void {
    if (!this.#inputOpen || this.#input === undefined) return;
    this.#inputOpen = false;
    fs.closeSync(this.#input);
  }

  /** The command has ended: its outputs end when everything in them was read. */
  end(): void {
    this.closeInput();
    for (const file of this.#keepers.splice(0)) fs.closeSync(file);
    fs.rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Nobody reads on. */
  abandon(): void {
    this.#abandoned = true;
    this.closeInput();
    this.#giveUp.abort();
    if (!this.#isRead) this.#closeOutputs();
    this.#onDrained();
  }

  /** It was never started. */
  close(): void {
    this.end();
    this.#closeOutputs();
  }

  #closeOutputs(): void {
    for (const { file } of this.#outputs.splice(0)) fs.closeSync(file);
  }
}

/** A reader besides the shim: opening for writing alone would fail before that has come. */
function openInput(path: string): number {
  return fs.openSync(path, fs.constants.O_RDWR | O_NONBLOCK);
}

async function* chunksOf(stream: "stdout" | "stderr", file: number): AsyncGenerator<OutputChunk> {
  try {
    for await (const data of Bun.file(file).stream()) yield { stream, data };
  } finally {
    fs.closeSync(file);
  }
}

function isFull(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "EAGAIN";
}
