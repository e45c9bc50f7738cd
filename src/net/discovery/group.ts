import { createSocket, type Socket } from "node:dgram";
import { ownAddresses } from "../own-address.ts";

/** Where servers listen for who looks for them: a group of the site's own scope (RFC 2365). */
export const GROUP = "239.255.67.70";
export const DISCOVERY_PORT = 6770;

/** A datagram socket that never ends the process: an unreachable machine is no error here. */
export async function openSocket(
  port: number,
  onDatagram: (datagram: Buffer, from: { address: string; port: number }) => void,
): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  socket.on("error", () => undefined);
  socket.on("message", (datagram: Buffer, from: { address: string; port: number }) =>
    onDatagram(datagram, from),
  );
  socket.unref();
  return socket;
}

/** Sends to the group through every interface of the machine. */
export function sendToGroup(socket: Socket, datagram: Buffer, port: number): void {
  for (const { address } of ownAddresses()) {
    try {
      socket.setMulticastInterface(address);
      socket.send(datagram, port, GROUP, () => undefined);
    } catch {
      // The interface went away a moment ago, or takes no multicast: the others may do.
    }
  }
}
