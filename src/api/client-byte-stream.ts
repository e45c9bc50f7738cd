import type { OrchdError } from "../lib/errors.ts";
import type { ByteStream } from "../model/session.ts";
import { damaged, errorOf, parseServerMessage, written } from "./client-socket.ts";

/** The server is made to wait while more than this has not been read. */
const UNREAD_BYTES_MAX = 1024 * 1024;

/**
 * A stream over a WebSocket that is connecting, such as a connection to a task's port; resolves
 * once it is there.
 * @param explain what an error of the connection means to a person
 */
export async function openByteStream(
  socket: WebSocket,
  explain: (error: unknown) => OrchdError,
): Promise<ByteStream> {
  socket.binaryType = "arraybuffer";
  const started = Promise.withResolvers<void>();
  const input = new Input(socket);
  let hasSentEof = false;
  let failure: OrchdError | undefined;

  const fail = (error: OrchdError) => {
    failure ??= error;
    started.reject(failure);
    input.end(failure);
    socket.close();
  };
  socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (typeof data !== "string") return input.push(new Uint8Array(data));
    const message = parseServerMessage(data);
    if (message?.type === "started") started.resolve();
    else if (message?.type === "eof") input.end();
    else fail(message?.type === "error" ? errorOf(message) : damaged());
  });
  // After both ends of the bytes this says nothing new.
  socket.addEventListener("close", () => fail(explain(undefined)));
  // A close event follows each error.
  socket.addEventListener("error", () => {});

  await started.promise;
  return {
    input: input.stream,
    async write(data) {
      if (failure !== undefined) throw failure;
      await written(socket, data);
    },
    end() {
      if (hasSentEof || socket.readyState !== WebSocket.OPEN) return;
      hasSentEof = true;
      socket.send(JSON.stringify({ type: "eof" }));
    },
    close: () => fail(explain(undefined)),
  };
}

/** What came and was not read yet; the socket is not read while that is much. */
class Input {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #socket: WebSocket;
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  #ended = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.stream = new ReadableStream<Uint8Array>(
      { start: (sink) => void (this.#sink = sink), pull: () => void socket.resume() },
      { highWaterMark: UNREAD_BYTES_MAX, size: (chunk) => chunk?.length ?? 0 },
    );
  }

  push(bytes: Uint8Array): void {
    if (this.#ended || this.#sink === undefined) return;
    this.#sink.enqueue(bytes);
    if ((this.#sink.desiredSize ?? 0) <= 0) this.#socket.pause();
  }

  end(error?: OrchdError): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error === undefined) this.#sink?.close();
    else this.#sink?.error(error);
  }
}
