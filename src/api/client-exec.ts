import type { OrchdError } from "../lib/errors.ts";
import type { ExecOptions, ExecSession } from "../model/session.ts";
import { damaged, errorOf, parseServerMessage, written } from "./client-socket.ts";

type ExecOutput = { stream: "stdout" | "stderr"; data: Uint8Array };

/** The first byte of a binary message from the server. */
const STDOUT = 1;
const STDERR = 2;

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
    const message = parseServerMessage(data);
    if (message?.type === "started") started.resolve();
    else if (message?.type === "exit") end(message.code);
    else end(message?.type === "error" ? errorOf(message) : damaged());
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
  const tell = (message: unknown) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  return {
    output,
    exitCode,
    write: (data) => written(socket, data),
    closeStdin: () => tell({ type: "eof" }),
    async resize(size) {
      tell({ type: "resize", size });
    },
    close,
  };
}
