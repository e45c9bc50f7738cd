import { once } from "node:events";
import type { Duplex } from "node:stream";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { ExecOptions, ExecSession, TerminalSize } from "../../model/session.ts";
import { sentenceOf } from "./errors.ts";
import { FrameReader, type OutputChunk } from "./frames.ts";
import type { PodmanHttp } from "./http.ts";
import { waitFor } from "./wait-for.ts";

const createdSchema = z.object({ Id: z.string() });
const inspectedSchema = z.object({ Running: z.boolean(), ExitCode: z.number() });

const ERROR_FIRST_BYTE = "E".charCodeAt(0);
const ERROR_BYTES_MAX = 4096;
const PODMAN_OWN_TROUBLE = /^Error: read unixpacket [^\n]*\n?$/;

/** Podman ends the connection a moment before it knows the exit code. */
const EXIT_POLL_MS = 20;
const EXIT_TIMEOUT_MS = 5_000;

/** Runs a command in a container and answers its session. */
export async function openExec(
  http: PodmanHttp,
  clock: Clock,
  containerId: string,
  options: ExecOptions,
): Promise<ExecSession> {
  const { Id } = await http.json(createdSchema, "POST", `/containers/${containerId}/exec`, {
    json: {
      Cmd: options.command,
      AttachStdin: options.stdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: options.tty,
      Env: Object.entries(options.environment).map(([name, value]) => `${name}=${value}`),
      ...(options.user === undefined ? {} : { User: options.user }),
      ...(options.workingDir === undefined ? {} : { WorkingDir: options.workingDir }),
    },
  });
  const size = options.size;
  const start = {
    Detach: false,
    Tty: options.tty,
    ...(size === undefined ? {} : { h: size.rows, w: size.columns }),
  };
  const { socket, head } = await http.upgrade(`/exec/${Id}/start`, start);
  return new PodmanExec(http, clock, Id, { socket, head, tty: options.tty });
}

interface Connection {
  socket: Duplex;
  /** What came with the answer already. */
  head: Buffer;
  tty: boolean;
}

class PodmanExec implements ExecSession {
  readonly #http: PodmanHttp;
  readonly #clock: Clock;
  readonly #id: string;
  readonly #socket: Duplex;
  readonly output: AsyncIterable<OutputChunk>;
  readonly exitCode: Promise<number>;

  constructor(http: PodmanHttp, clock: Clock, id: string, connection: Connection) {
    const { socket } = connection;
    this.#http = http;
    this.#clock = clock;
    this.#id = id;
    this.#socket = socket;
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {
      // The connection broke: `close` follows, output ends, and the exit code tells what is known.
    });
    this.output = outputOf(connection);
    this.exitCode = ended.then(() => this.#readExitCode());
    this.exitCode.catch(() => {
      // Those who wait for it are told; nobody has to wait.
    });
  }

  async write(data: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    if (socket.write(data)) return;
    const gone = new AbortController();
    try {
      const { signal } = gone;
      await Promise.race([once(socket, "drain", { signal }), once(socket, "close", { signal })]);
    } finally {
      gone.abort();
    }
  }

  closeStdin(): void {
    this.#socket.end();
  }

  async resize(size: TerminalSize): Promise<void> {
    await this.#http.send("POST", `/exec/${this.#id}/resize`, {
      query: { h: size.rows, w: size.columns },
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  async #readExitCode(): Promise<number> {
    for (let waitedMs = 0; waitedMs < EXIT_TIMEOUT_MS; waitedMs += EXIT_POLL_MS) {
      const { Running, ExitCode } = await this.#http.json(
        inspectedSchema,
        "GET",
        `/exec/${this.#id}/json`,
      );
      if (!Running) return ExitCode;
      await waitFor(this.#clock, EXIT_POLL_MS);
    }
    throw new OrchdError("timedOut", "the command still runs although its connection has ended");
  }
}

async function* outputOf(connection: Connection): AsyncGenerator<OutputChunk> {
  const { socket, head, tty } = connection;
  const frames = new FrameReader();
  const split = (chunk: Uint8Array): OutputChunk[] => {
    const parts = tty ? [{ stream: "stdout" as const, data: chunk }] : frames.read(chunk);
    if (parts === undefined) {
      socket.destroy();
      throw new OrchdError("runtime", "Podman's output of the command makes no sense");
    }
    return parts.map(withPlainError).filter((part) => part.data.length > 0);
  };
  if (head.length > 0) yield* split(head);
  try {
    for await (const chunk of socket as AsyncIterable<Uint8Array>) yield* split(chunk);
  } catch (error) {
    // A connection that was closed or broke is the output's end; the exit code tells the rest.
    if (error instanceof OrchdError) throw error;
  }
}

/** What Podman prints into the output when the command can't be run, as one sentence. */
export function withPlainError(chunk: OutputChunk): OutputChunk {
  if (chunk.data[0] !== ERROR_FIRST_BYTE || chunk.data.length > ERROR_BYTES_MAX) return chunk;
  const text = new TextDecoder().decode(chunk.data);
  if (PODMAN_OWN_TROUBLE.test(text)) return { ...chunk, data: new Uint8Array() };
  const failure = text.match(/^Error: ((?:runc|crun|OCI runtime error): [\s\S]*)/)?.[1];
  if (failure === undefined) return chunk;
  return { ...chunk, data: new TextEncoder().encode(`${sentenceOf(failure)}\r\n`) };
}
