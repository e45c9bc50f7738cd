import type { Clock } from "../../lib/clock.ts";
import { TCP_BYTES_MAX } from "./wire.ts";

/** Another name server. */
export interface Upstream {
  host: string;
  port: number;
}

export function keyOf({ host, port }: Upstream): string {
  return `${host}#${port}`;
}

/** A datagram socket that talks to one name server alone: the kernel drops what others send. */
export interface Asking {
  send(packet: Buffer): void;
  close(): void;
}

export interface AskingEvents {
  onPacket(packet: Buffer): void;
  /** Nobody is there, as somebody on the way said. */
  onRefused(): void;
}

/**
 * Opens a socket with a port of its own, which the kernel draws: who wants to answer in the name
 * server's place has to guess it, and the query's id (RFC 5452).
 * @throws the system's error where no way leads there
 */
export async function openAsking(to: Upstream, events: AskingEvents): Promise<Asking> {
  const socket = await Bun.udpSocket({
    connect: { hostname: to.host, port: to.port },
    socket: {
      data: (_socket, packet) => events.onPacket(packet),
      error: () => events.onRefused(),
    },
  });
  return {
    send(packet) {
      try {
        socket.send(packet);
      } catch {
        events.onRefused();
      }
    },
    close: () => socket.close(),
  };
}

/**
 * Asks over TCP, for an answer that had no room in a datagram; undefined when none comes.
 * @param timeoutMs for connection and answer together
 */
export async function askByTcp(
  to: Upstream,
  query: Buffer,
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
): Promise<Buffer | undefined> {
  const done = Promise.withResolvers<Buffer | undefined>();
  const timer = clock.after(timeoutMs, () => done.resolve(undefined));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  let received = Buffer.alloc(0);
  const connecting = Bun.connect({
    hostname: to.host,
    port: to.port,
    socket: {
      open: (socket) => void socket.write(Buffer.concat([length, query])),
      data(_socket, chunk) {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2) return;
        const end = 2 + received.readUInt16BE(0);
        if (received.length >= end) done.resolve(received.subarray(2, end));
        else if (received.length > TCP_BYTES_MAX + 2) done.resolve(undefined);
      },
      close: () => done.resolve(undefined),
      error: () => done.resolve(undefined),
    },
  });
  // One that was refused, or is made too late, ends like one that says nothing.
  connecting.catch(() => done.resolve(undefined));
  const answer = await done.promise;
  timer.cancel();
  void connecting.then((socket) => socket.end()).catch(() => undefined);
  return answer;
}
