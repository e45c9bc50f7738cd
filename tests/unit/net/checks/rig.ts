import { afterEach } from "bun:test";
import { createServer, type AddressInfo, type Socket } from "node:net";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A TCP server on loopback for one test, which does with each connection as it is told. */
export async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {
      // The other side went away, as it may.
    });
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that answers each request with these bytes and leaves the connection open. */
export function answering(bytes: string): Promise<number> {
  return serve((socket) => socket.once("data", () => void socket.write(bytes)));
}

/** Runs when the test is over. */
export function atEnd(close: () => void): void {
  closers.push(close);
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
