import { connect } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../lib/clock.ts";

/** More than any head of a request that the server behind takes. */
const HEAD_BYTES_MAX = 64 * 1024;
const HEAD_END = "\r\n\r\n";
/** How long the last bytes of an answer may take when the server has nothing more to say. */
const LAST_BYTES_MS = 5000;
/** Finds out that the other machine is gone, where a stream is quiet by right. */
const KEEP_ALIVE_MS = 30_000;

interface PeoplePipe {
  clock: Clock;
  /** Where the server for people listens. */
  socketPath: string;
  /** The first request has a whole head; it goes nowhere if this destroys its connection. */
  onRequest(): void;
  /** What came is no request. */
  onRefuse(): void;
}

/**
 * Passes a decrypted connection on to the server for people, byte by byte, once the head of its
 * first request is there: so that one who sends it slowly holds nothing but this connection.
 */
export function pipePeople(socket: TLSSocket, options: PeoplePipe): void {
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    // Only the seam can hide an end that was not there before.
    const from = Math.max(0, head.length - HEAD_END.length);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(HEAD_END, from);
    if (end < 0 ? head.length > HEAD_BYTES_MAX : end > HEAD_BYTES_MAX) return options.onRefuse();
    if (end < 0) return;
    socket.off("data", onData);
    socket.pause();
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    options.onRequest();
    if (socket.destroyed) return;
    forward(socket, head, options);
  };
  socket.on("data", onData);
}

function forward(socket: TLSSocket, head: Buffer, { clock, socketPath }: PeoplePipe): void {
  const inner = connect(socketPath);
  inner.on("error", () => socket.destroy());
  socket.on("close", () => inner.destroy());
  inner.on("connect", () => {
    inner.write(head);
    socket.pipe(inner);
    inner.pipe(socket);
  });
  inner.on("close", () => {
    socket.end();
    const timer = clock.after(LAST_BYTES_MS, () => socket.destroy());
    socket.on("close", () => timer.cancel());
  });
}
