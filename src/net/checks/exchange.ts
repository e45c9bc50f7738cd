import type { Socket } from "bun";
import { messageOf, systemCodeOf } from "../../lib/errors.ts";

export interface ExchangeOptions {
  address: string;
  port: number;
  /** Over TLS. No certificate is checked: whoever answers at the task's address is the task. */
  tls?: boolean;
  /** Sent as soon as there is a connection. */
  request?: Uint8Array;
  /** Takes what came; true ends the exchange. */
  onData?: (bytes: Uint8Array) => boolean;
  /** Gives up. */
  signal: AbortSignal;
}

/** How an exchange ended: as `onData` said, by the other side's end, or in trouble, in words. */
export type ExchangeEnd = "done" | "ended" | { trouble: string };

const TROUBLES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections: nothing listens",
  ECONNRESET: "broke the connection",
  EPIPE: "broke the connection",
  EHOSTUNREACH: "can't be reached",
  ENETUNREACH: "can't be reached",
  ETIMEDOUT: "does not answer",
};

/**
 * One connection from its beginning to its end, however that comes about; it never rejects. Without
 * `onData` it is done as soon as there is a connection.
 */
export function exchange(options: ExchangeOptions): Promise<ExchangeEnd> {
  const { address, port, tls = false, request, onData, signal } = options;
  return new Promise((resolve) => {
    let socket: Socket | undefined;
    let isOver = false;
    const finish = (end: ExchangeEnd) => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener("abort", onAbort);
      // Nobody waits until the other side agrees; one that does nothing wrong sees no broken pipe.
      if (typeof end === "object") socket?.terminate();
      else socket?.end();
      resolve(end);
    };
    const onAbort = () => finish({ trouble: "gave no answer" });
    const fail = (error: unknown) => finish({ trouble: troubleOf(error) });
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    let unsent = request ?? new Uint8Array();
    const send = (opened: Socket) => {
      if (unsent.length > 0) unsent = unsent.subarray(opened.write(unsent));
    };
    const begin = (opened: Socket) => {
      if (onData === undefined) return finish("done");
      send(opened);
    };
    const handlers = {
      open: (opened: Socket) => {
        socket = opened;
        if (isOver) opened.terminate();
        else if (!tls) begin(opened);
      },
      handshake: (opened: Socket) => begin(opened),
      drain: send,
      data: (_: Socket, bytes: Uint8Array) => {
        if (!isOver && onData?.(bytes) === true) finish("done");
      },
      end: () => finish("ended"),
      close: (_: Socket, error?: Error) => (error === undefined ? finish("ended") : fail(error)),
      error: (_: Socket, error: Error) => fail(error),
      connectError: (_: Socket, error: Error) => fail(error),
    };
    const security = tls ? { tls: { rejectUnauthorized: false } } : {};
    Bun.connect({ hostname: address, port, socket: handlers, ...security }).catch(fail);
  });
}

function troubleOf(error: unknown): string {
  return TROUBLES[systemCodeOf(error) ?? ""] ?? messageOf(error);
}
