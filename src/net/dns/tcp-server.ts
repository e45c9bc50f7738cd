import type { Clock, Timer } from "../../lib/clock.ts";
import type { Responder } from "./responder.ts";
import type { Listening } from "./udp-server.ts";
import { HEADER_BYTES } from "./wire.ts";

export interface TcpBounds {
  connectionsMax: number;
  perClientMax: number;
  /** A connection that says nothing so long is closed. */
  idleMs: number;
}

const BOUNDS: TcpBounds = { connectionsMax: 128, perClientMax: 16, idleMs: 10_000 };

/** No question is longer than a name, its type, and what EDNS may add; a real one has 50 bytes. */
const QUERY_BYTES_MAX = 4096;
/** Questions of one connection that wait for others. */
const WAITING_MAX = 16;
/** Answers that a client does not take: it is not worth more memory. */
const UNSENT_BYTES_MAX = 256 * 1024;

export interface TcpServerOptions {
  host: string;
  port: number;
  responder: Responder;
  clock: Clock;
  bounds?: TcpBounds;
}

interface Connection {
  client: string;
  received: Buffer;
  unsent: Buffer;
  waiting: number;
  idle: Timer | undefined;
}

type Socket = Bun.Socket<Connection | undefined>;

/**
 * Answers over TCP, where each message follows its length (RFC 1035, section 4.2.2).
 * @throws the system's error, such as EADDRINUSE or EADDRNOTAVAIL
 */
export function listenTcp(options: TcpServerOptions): Listening {
  const { host, port } = options;
  const server = new TcpServer(options);
  const listener = Bun.listen<Connection | undefined>({
    hostname: host,
    port,
    socket: {
      open: (socket) => server.open(socket),
      data: (socket, chunk) => server.take(socket, chunk),
      drain: (socket) => server.flush(socket),
      close: (socket) => server.forget(socket),
      error: (socket) => socket.terminate(),
    },
  });
  return { port: listener.port, close: () => listener.stop(true) };
}

class TcpServer {
  readonly #responder: Responder;
  readonly #clock: Clock;
  readonly #bounds: TcpBounds;
  readonly #connections = new Map<string, number>();
  #count = 0;

  constructor({ responder, clock, bounds = BOUNDS }: TcpServerOptions) {
    this.#responder = responder;
    this.#clock = clock;
    this.#bounds = bounds;
  }

  open(socket: Socket): void {
    const client = socket.remoteAddress;
    const before = this.#connections.get(client) ?? 0;
    const { connectionsMax, perClientMax } = this.#bounds;
    if (before >= perClientMax || this.#count >= connectionsMax) {
      socket.terminate();
      return;
    }
    this.#connections.set(client, before + 1);
    this.#count++;
    const empty = Buffer.alloc(0);
    socket.data = { client, received: empty, unsent: empty, waiting: 0, idle: undefined };
    this.#waitFor(socket);
  }

  take(socket: Socket, chunk: Buffer): void {
    const connection = socket.data;
    if (connection === undefined) return;
    connection.received = Buffer.concat([connection.received, chunk]);
    while (connection.received.length >= 2) {
      const length = connection.received.readUInt16BE(0);
      if (length < HEADER_BYTES || length > QUERY_BYTES_MAX) return socket.terminate();
      if (connection.received.length < 2 + length) return;
      const packet = connection.received.subarray(2, 2 + length);
      connection.received = connection.received.subarray(2 + length);
      // Only a whole question is a sign of life: a byte now and then keeps no connection open.
      this.#waitFor(socket);
      if (!this.#respond(socket, connection, packet)) return socket.terminate();
    }
  }

  flush(socket: Socket): void {
    const connection = socket.data;
    if (connection === undefined || connection.unsent.length === 0) return;
    const sent = socket.write(connection.unsent);
    connection.unsent = connection.unsent.subarray(Math.max(0, sent));
  }

  forget(socket: Socket): void {
    const connection = socket.data;
    if (connection === undefined) return;
    socket.data = undefined;
    connection.idle?.cancel();
    this.#count--;
    const { client } = connection;
    const left = (this.#connections.get(client) ?? 1) - 1;
    if (left === 0) this.#connections.delete(client);
    else this.#connections.set(client, left);
  }

  /** False for a client that asks more than is good, or does not listen. */
  #respond(socket: Socket, connection: Connection, packet: Buffer): boolean {
    if (connection.waiting >= WAITING_MAX) return false;
    const response = this.#responder.respond(packet, connection.client, "tcp");
    if (!(response instanceof Promise)) return this.#send(socket, connection, response);
    connection.waiting++;
    void response.then((later) => {
      connection.waiting--;
      // It may have been closed meanwhile.
      if (socket.data === undefined) return;
      this.#waitFor(socket);
      if (!this.#send(socket, connection, later)) socket.terminate();
    });
    return true;
  }

  #send(socket: Socket, connection: Connection, response: Buffer | undefined): boolean {
    if (response === undefined) return false;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(response.length);
    connection.unsent = Buffer.concat([connection.unsent, length, response]);
    this.flush(socket);
    return connection.unsent.length <= UNSENT_BYTES_MAX;
  }

  #waitFor(socket: Socket): void {
    const connection = socket.data;
    if (connection === undefined) return;
    connection.idle?.cancel();
    connection.idle = this.#clock.after(this.#bounds.idleMs, () => socket.terminate());
  }
}
