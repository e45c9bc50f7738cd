import { isErrorCode, OrchdError } from "../lib/errors.ts";
import type { ExecOptions, ExecSession } from "../model/session.ts";

/** What the server says of a command beside its output. */
type ExecMessage =
  | { type: "started" }
  | { type: "exit"; code: number }
  | { type: "error"; code: string; message: string };

type ExecOutput = { stream: "stdout" | "stderr"; data: Uint8Array };

/** The first byte of a binary message from the server. */
const STDOUT = 1;
const STDERR = 2;

/** More than this waits in memory only until the socket has taken what is before it. */
const UNSENT_BYTES_MAX = 1024 * 1024;
const UNSENT_POLL_MS = 5;

/**
 * Runs a command over a WebSocket that is connecting; resolves once the command has started.
 * @param explain what an error of the connection means to a person
 */
export async function openExec(
  socket: WebSocket,
  options: ExecOptions,
  explain: (error: unknown) => OrchdError,
): Promise<ExecSession> {
  socket.binaryType = "arraybuffer";
  const started = Promise.withResolvers<void>();
  const exit = Promise.withResolvers<number>();
  // Whoever awaits the exit sees the failure; nobody does when the command never started.
  exit.promise.catch(() => {});
  let sink: ReadableStreamDefaultController<ExecOutput> | undefined;
  const output = new ReadableStream<ExecOutput>({
    start: (controller) => void (sink = controller),
  });

  let ended = false;
  const end = (result: number | OrchdError) => {
    if (ended) return;
    ended = true;
    sink?.close();
    if (typeof result === "number") exit.resolve(result);
    else {
      started.reject(result);
      exit.reject(result);
    }
    socket.close();
  };
  socket.addEventListener("open", () => socket.send(JSON.stringify(options)));
  socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (ended) return;
    if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      if (bytes[0] !== STDOUT && bytes[0] !== STDERR) return end(damaged());
      const stream = bytes[0] === STDOUT ? "stdout" : "stderr";
      sink?.enqueue({ stream, data: bytes.subarray(1) });
      return;
    }
    const message = parseMessage(data);
    if (message === undefined) end(damaged());
    else if (message.type === "started") started.resolve();
    else end(message.type === "exit" ? message.code : errorOf(message));
  });
  socket.addEventListener("close", () => end(explain(undefined)));
  // A close event follows each error.
  socket.addEventListener("error", () => {});

  await started.promise;
  return sessionOn(socket, output, exit.promise, () => end(explain(undefined)));
}

function sessionOn(
  socket: WebSocket,
  output: ReadableStream<ExecOutput>,
  exitCode: Promise<number>,
  close: () => void,
): ExecSession {
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  const tell = (message: unknown) => {
    if (isOpen()) socket.send(JSON.stringify(message));
  };
  return {
    output,
    exitCode,
    async write(data) {
      if (isOpen()) socket.send(data);
      while (isOpen() && socket.bufferedAmount > UNSENT_BYTES_MAX) {
        await new Promise((resolve) => setTimeout(resolve, UNSENT_POLL_MS));
      }
    },
    closeStdin: () => tell({ type: "eof" }),
    async resize(size) {
      tell({ type: "resize", size });
    },
    close,
  };
}

function parseMessage(text: string): ExecMessage | undefined {
  let value: Partial<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as Partial<Record<string, unknown>>;
  } catch {
    // Told as a damaged answer by the caller.
    return undefined;
  }
  const { type, code, message } = value;
  if (type === "started") return { type };
  if (type === "exit" && typeof code === "number") return { type, code };
  if (type !== "error" || typeof message !== "string") return undefined;
  return { type, code: typeof code === "string" ? code : "internal", message };
}

function errorOf({ code, message }: { code: string; message: string }): OrchdError {
  return new OrchdError(isErrorCode(code) ? code : "internal", message);
}

function damaged(): OrchdError {
  return new OrchdError("internal", "the orchd server's answer is damaged: try again");
}
