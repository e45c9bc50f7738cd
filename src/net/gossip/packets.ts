import type { Address } from "../../core/gossip/messages.ts";
import { canonicalHost } from "../../core/gossip/wire/address.ts";
import type { GossipTraffic } from "./traffic.ts";

/**
 * The kernel tells of an ICMP answer to one packet by not sending the next one, whoever that one is
 * for: a member that is gone would cost the others theirs. Trying again sends it.
 */
const SEND_TRIES = 3;

/** A UDP socket for gossip's packets. */
export interface PacketSocket {
  readonly port: number;
  send(packet: Uint8Array, to: Address): void;
  close(): void;
}

/** @throws the system's error, such as EADDRINUSE */
export async function openPacketSocket(
  bind: Address,
  traffic: GossipTraffic,
  onPacket: (packet: Uint8Array, from: Address) => void,
): Promise<PacketSocket> {
  const socket = await Bun.udpSocket({
    hostname: bind.host,
    port: bind.port,
    socket: {
      data(_socket, packet, port, address) {
        traffic.packetsIn++;
        traffic.packetBytesIn += packet.length;
        const host = canonicalHost(address);
        if (host !== undefined) onPacket(packet, { host, port });
      },
      // An ICMP answer, such as port unreachable: without a listener it would end the process.
      error() {
        traffic.packetErrors++;
      },
    },
  });
  return {
    port: socket.port,
    send(packet, to) {
      for (let tries = 1; !trySend(socket, packet, to); tries++) {
        traffic.packetErrors++;
        if (tries === SEND_TRIES) return;
      }
      traffic.packetsOut++;
      traffic.packetBytesOut += packet.length;
    },
    close: () => socket.close(),
  };
}

/** @returns false when the system did not send it */
function trySend(socket: Bun.udp.Socket<"buffer">, packet: Uint8Array, to: Address): boolean {
  try {
    return socket.send(packet, to.port, to.host);
  } catch {
    // An ICMP answer to an earlier packet, or no way there: to gossip a packet that was lost.
    return false;
  }
}
