import { createServer, type Socket } from "node:net";
import { messageChainOf, OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { ByteStream } from "../../model/session.ts";

export interface LocalListener {
  port: number;
  close(): void;
}

/**
 * Takes connections on a port of 127.0.0.1, and joins each with one that `open` makes.
 * @param port 0 for a free one
 * @param onProblem hears why a connection failed; the others go on
 * @throws OrchdError `conflict` when the port is in use, `forbidden`
 */
export function listenLocally(
  port: number,
  open: () => Promise<ByteStream>,
  onProblem: (message: string) => void,
): Promise<LocalListener> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    // Whoever reads or writes hears of it.
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    void serve(socket, open, onProblem);
  });
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    server.on("error", (error) => reject(classify(port, error)));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve({ port: typeof address === "object" ? (address?.port ?? port) : port, close });
    });
  });
}

async function serve(
  socket: Socket,
  open: () => Promise<ByteStream>,
  onProblem: (message: string) => void,
): Promise<void> {
  let stream: ByteStream | undefined;
  try {
    stream = await open();
    const leave = () => stream?.close();
    socket.on("close", leave);
    if (socket.destroyed) leave();
    await Promise.all([outward(socket, stream), inward(socket, stream)]);
    socket.off("close", leave);
  } catch (error) {
    // A program here that has gone needs no explanation.
    if (!socket.destroyed) onProblem(messageChainOf(error));
    socket.destroy();
  } finally {
    stream?.close();
  }
}

async function outward(socket: Socket, stream: ByteStream): Promise<void> {
  // The end of this way must not end the other one.
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  for await (const chunk of chunks) await stream.write(chunk);
  stream.end();
}

async function inward(socket: Socket, stream: ByteStream): Promise<void> {
  for await (const data of stream.input) {
    if (!socket.write(data)) await drained(socket);
  }
  socket.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      socket.off("drain", end).off("close", end);
      resolve();
    };
    socket.on("drain", end).on("close", end);
  });
}

function classify(port: number, cause: unknown): OrchdError {
  const code = systemCodeOf(cause);
  const where = `127.0.0.1:${port}`;
  if (code === "EADDRINUSE") {
    return new OrchdError("conflict", `another program uses ${where}: name another port, or :PORT`);
  }
  const kind = code === "EACCES" ? "forbidden" : "conflict";
  return new OrchdError(kind, `can't listen on ${where}: name another port`, { cause });
}
