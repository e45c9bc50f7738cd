import type { ServerWebSocket } from "bun";
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import {
  execOptionsSchema,
  type ExecOptions,
  type ExecSession,
  terminalSizeSchema,
} from "../model/session.ts";
import { ExecInbox } from "./exec-inbox.ts";
import { detailsOf, problemOf } from "./problem.ts";

const FIRST_MESSAGE_MS = 10_000;
/** What `send` answers when the message waits in memory. */
const BACKPRESSURE = -1;
const STREAM_BYTE = { stdout: 1, stderr: 2 } as const;

/** Its later ones, beside binary messages, which are the command's input. */
const controlSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("resize"), size: terminalSizeSchema }),
  z.object({ type: z.literal("eof") }),
]);

export interface ExecSocketData {
  socket: ExecSocket;
}

interface ExecSocketDeps {
  clock: Clock;
  log: Log;
  /** Starts the command; throws what is to be told to the client. */
  start(options: ExecOptions): Promise<ExecSession>;
}

/**
 * The server's end of one `exec`: the client's first message says what to run, then bytes flow both
 * ways, each side waiting while the other is slow. The last message is `exit` or `error`.
 */
export class ExecSocket {
  readonly #deps: ExecSocketDeps;
  #ws: ServerWebSocket<ExecSocketData> | undefined;
  #session: ExecSession | undefined;
  #state: "waiting" | "starting" | "running" | "ended" = "waiting";
  #inbox: ExecInbox | undefined;
  #drained = Promise.withResolvers<void>();
  #cancelTimer = () => {};

  constructor(deps: ExecSocketDeps) {
    this.#deps = deps;
  }

  onOpen(ws: ServerWebSocket<ExecSocketData>): void {
    this.#ws = ws;
    this.#inbox = new ExecInbox(ws, {
      clock: this.#deps.clock,
      handle: (message) => this.#handle(message),
      fail: (error) => this.#fail(error),
    });
    const timer = this.#deps.clock.after(FIRST_MESSAGE_MS, () => {
      this.#fail(new OrchdError("timedOut", "the command to run did not come in time"));
    });
    this.#cancelTimer = () => timer.cancel();
  }

  onMessage(message: string | Uint8Array): void {
    this.#inbox?.push(message);
  }

  onDrain(): void {
    this.#drained.resolve();
    this.#drained = Promise.withResolvers<void>();
  }

  onClose(): void {
    this.#end();
  }

  async #handle(message: string | Uint8Array): Promise<void> {
    if (this.#state === "ended") return;
    if (this.#state === "waiting") return this.#start(message);
    if (typeof message !== "string") {
      await this.#session?.write(message);
      return;
    }
    const control = parseMessage(controlSchema, message);
    if (control.type === "resize") await this.#session?.resize(control.size);
    else this.#session?.closeStdin();
  }

  async #start(message: string | Uint8Array): Promise<void> {
    this.#cancelTimer();
    const request = parseMessage(execOptionsSchema, message);
    this.#state = "starting";
    const session = await this.#deps.start(request);
    if (this.#hasEnded()) {
      // The client left while the command started.
      session.close();
      return;
    }
    this.#session = session;
    this.#state = "running";
    this.#ws?.send(JSON.stringify({ type: "started" }));
    void this.#pump(session);
  }

  /** The command's output, then how it ended. */
  async #pump(session: ExecSession): Promise<void> {
    try {
      for await (const { stream, data } of session.output) {
        const frame = new Uint8Array(data.length + 1);
        frame[0] = STREAM_BYTE[stream];
        frame.set(data, 1);
        await this.#sendAll(frame);
        if (this.#hasEnded()) return;
      }
      this.#finish({ type: "exit", code: await session.exitCode });
    } catch (error) {
      // Whatever broke between the command and here, the client hears of it last.
      this.#fail(error);
    }
  }

  /** Resolves when the socket has taken the message whole, or has gone. */
  async #sendAll(message: Uint8Array): Promise<void> {
    if (this.#ws?.send(message) !== BACKPRESSURE) return;
    // A drain can leave a rest, and what is sent on top of too large a rest is dropped.
    while (!this.#hasEnded() && this.#ws.getBufferedAmount() > 0) await this.#drained.promise;
  }

  #fail(error: unknown): void {
    const { code, message } = problemOf(error, this.#deps.log).body.error;
    this.#finish({ type: "error", code, message });
  }

  #finish(last: { type: "exit"; code: number } | { type: "error"; code: string; message: string }) {
    if (this.#hasEnded()) return;
    this.#ws?.send(JSON.stringify(last));
    this.#ws?.close(1000);
    this.#end();
  }

  #end(): void {
    if (this.#hasEnded()) return;
    this.#state = "ended";
    this.#cancelTimer();
    this.#inbox?.close();
    this.#drained.resolve();
    this.#session?.close();
  }

  /** Asked through a method, since the state changes behind an `await`. */
  #hasEnded(): boolean {
    return this.#state === "ended";
  }
}

/** For `Bun.serve`: hands each event to the socket's own object. */
export const execWebSocketHandler = {
  maxPayloadLength: 16 * 1024 * 1024,
  backpressureLimit: 16 * 1024 * 1024,
  idleTimeout: 0,
  perMessageDeflate: false,
  open: (ws: ServerWebSocket<ExecSocketData>) => ws.data.socket.onOpen(ws),
  message: (ws: ServerWebSocket<ExecSocketData>, message: string | Uint8Array) =>
    ws.data.socket.onMessage(message),
  drain: (ws: ServerWebSocket<ExecSocketData>) => ws.data.socket.onDrain(),
  close: (ws: ServerWebSocket<ExecSocketData>) => ws.data.socket.onClose(),
};

function parseMessage<Schema extends z.ZodType>(
  schema: Schema,
  message: string | Uint8Array,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(parseJson(message));
  if (success) return data;
  throw new OrchdError(
    "invalid",
    `the message is not valid: ${detailsOf(error.issues).join("; ")}`,
  );
}

function parseJson(message: string | Uint8Array): unknown {
  try {
    return typeof message === "string" ? JSON.parse(message) : undefined;
  } catch {
    // Not JSON: the schema refuses it like any other wrong shape.
    return undefined;
  }
}
