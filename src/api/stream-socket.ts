import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ByteStream } from "../model/session.ts";
import { problemOf } from "./problem.ts";
import { SocketInbox } from "./socket-inbox.ts";
import type { ApiSocket, ApiWebSocket } from "./api-socket.ts";
import { parseMessage, SocketSender } from "./web-socket.ts";

/** Beside binary messages, which are the connection's bytes: no more of them follows. */
const eofSchema = z.object({ type: z.literal("eof") });

interface StreamSocketDeps {
  clock: Clock;
  log: Log;
  /** Connects; throws what is to be told to the client. */
  start(): Promise<ByteStream>;
}

/**
 * The server's end of one stream, such as a connection to a task's port: bytes both ways, each side
 * waiting while the other is slow. Each way ends with `eof`; the socket closes after both, or with
 * an `error`.
 */
export class StreamSocket implements ApiSocket {
  readonly #deps: StreamSocketDeps;
  readonly #stream = Promise.withResolvers<ByteStream>();
  #ws: ApiWebSocket | undefined;
  #inbox: SocketInbox | undefined;
  #sender: SocketSender | undefined;
  readonly #open = { inward: true, outward: true };
  #ended = false;

  constructor(deps: StreamSocketDeps) {
    this.#deps = deps;
    // It is told to the client by whoever starts it.
    this.#stream.promise.catch(() => {});
  }

  onOpen(ws: ApiWebSocket): void {
    this.#ws = ws;
    this.#sender = new SocketSender(ws);
    this.#inbox = new SocketInbox(ws, {
      clock: this.#deps.clock,
      handle: (message) => this.#handle(message),
      fail: (error) => this.#fail(error),
    });
    void this.#run();
  }

  onMessage(message: string | Uint8Array): void {
    this.#inbox?.push(message);
  }

  onDrain(): void {
    this.#sender?.onDrain();
  }

  onClose(): void {
    this.#end();
  }

  /** Connects, then brings what the task sends. */
  async #run(): Promise<void> {
    try {
      const stream = await this.#deps.start();
      this.#stream.resolve(stream);
      // The client may have left in the meantime.
      if (this.#hasEnded()) return stream.close();
      this.#tell({ type: "started" });
      for await (const data of stream.input) await this.#sender?.send(data);
      this.#tell({ type: "eof" });
      this.#onEof("outward");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What the client sends waits here until the connection is there. */
  async #handle(message: string | Uint8Array): Promise<void> {
    if (this.#ended) return;
    const stream = await this.#stream.promise;
    if (typeof message !== "string") return stream.write(message);
    parseMessage(eofSchema, message);
    stream.end();
    this.#onEof("inward");
  }

  #onEof(way: "inward" | "outward"): void {
    this.#open[way] = false;
    if (this.#open.inward || this.#open.outward || this.#ended) return;
    this.#ws?.close(1000);
    this.#end();
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    const { code, message } = problemOf(error, this.#deps.log).body.error;
    this.#tell({ type: "error", code, message });
    this.#ws?.close(1000);
    this.#end();
  }

  #tell(message: object): void {
    if (!this.#ended) this.#ws?.send(JSON.stringify(message));
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#inbox?.close();
    this.#sender?.close();
    this.#stream.promise.then((stream) => stream.close()).catch(() => {});
  }

  /** Asked through a method, since the state changes behind an `await`. */
  #hasEnded(): boolean {
    return this.#ended;
  }
}
