import { createSocket, type Socket } from "node:dgram";
import { ownAddresses } from "../own-address.ts";

/** Where servers listen for who looks for them: a group of the site's own scope (RFC 2365). */
export const GROUP = "239.255.67.70";
export const DISCOVERY_PORT = 6770;

/** Where a datagram came from, as it says itself. */
export interface Sender {
  address: string;
  port: number;
}

export type OnDatagram = (datagram: Buffer, from: Sender) => void;

/** A datagram socket that never ends the process: an unreachable machine is no error here. */
export async function openSocket(
  bind: { port: number; address?: string },
  onDatagram: OnDatagram,
): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(bind, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  socket.on("error", () => undefined);
  socket.on("message", (datagram: Buffer, from: Sender) => onDatagram(datagram, from));
  socket.unref();
  return socket;
}

/** Sends, or loses, as any datagram may be lost. */
export function sendTo(socket: Socket, datagram: Buffer, to: Sender): void {
  try {
    socket.send(datagram, to.port, to.address, () => undefined);
  } catch {
    // Nobody can be reached at port 0, and whoever sends from there does not want an answer.
  }
}

/**
 * Sends to the group through every interface of the machine. Each has a socket of its own: the
 * interface of a socket counts when a datagram leaves, which is later than `send` returns.
 */
export class GroupSender {
  readonly #onDatagram: OnDatagram;
  readonly #sockets = new Map<string, Socket>();
  #isClosed = false;

  /** @param onDatagram told of the answers */
  constructor(onDatagram: OnDatagram) {
    this.#onDatagram = onDatagram;
  }

  async send(datagram: Buffer, port: number): Promise<void> {
    await Promise.all(
      ownAddresses().map(async ({ address }) => {
        const socket = await this.#socketOn(address);
        if (socket !== undefined) sendTo(socket, datagram, { address: GROUP, port });
      }),
    );
  }

  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  async #socketOn(address: string): Promise<Socket | undefined> {
    const known = this.#sockets.get(address);
    if (known !== undefined) return known;
    try {
      const socket = await openSocket({ port: 0, address }, this.#onDatagram);
      if (this.#isClosed) {
        socket.close();
        return undefined;
      }
      this.#sockets.set(address, socket);
      socket.setMulticastInterface(address);
      return socket;
    } catch {
      // The interface went away a moment ago, or takes no multicast: the others may do.
      return undefined;
    }
  }
}
