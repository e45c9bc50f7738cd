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
import { problemOf } from "./problem.ts";
import { SocketInbox } from "./socket-inbox.ts";
import type { ApiSocket, ApiWebSocket } from "./api-socket.ts";
import { parseMessage, SocketSender } from "./web-socket.ts";

const FIRST_MESSAGE_MS = 10_000;
const STREAM_BYTE = { stdout: 1, stderr: 2 } as const;

/** Its later ones, beside binary messages, which are the command's input. */
const controlSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("resize"), size: terminalSizeSchema }),
  z.object({ type: z.literal("eof") }),
]);

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
export class ExecSocket implements ApiSocket {
  readonly #deps: ExecSocketDeps;
  #ws: ApiWebSocket | undefined;
  #session: ExecSession | undefined;
  #state: "waiting" | "starting" | "running" | "ended" = "waiting";
  #inbox: SocketInbox | undefined;
  #sender: SocketSender | undefined;
  #cancelTimer = () => {};

  constructor(deps: ExecSocketDeps) {
    this.#deps = deps;
  }

  onOpen(ws: ApiWebSocket): void {
    this.#ws = ws;
    this.#sender = new SocketSender(ws);
    this.#inbox = new SocketInbox(ws, {
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
    this.#sender?.onDrain();
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
        await this.#sender?.send(frame);
        if (this.#hasEnded()) return;
      }
      this.#finish({ type: "exit", code: await session.exitCode });
    } catch (error) {
      // Whatever broke between the command and here, the client hears of it last.
      this.#fail(error);
    }
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
    this.#sender?.close();
    this.#session?.close();
  }

  /** Asked through a method, since the state changes behind an `await`. */
  #hasEnded(): boolean {
    return this.#state === "ended";
  }
}
