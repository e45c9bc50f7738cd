import type { Address } from "../../core/gossip/messages.ts";
import { canonicalHost } from "../../core/gossip/wire/address.ts";
import type { GossipTraffic } from "./traffic.ts";

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
      try {
        const isSent = socket.send(packet, to.port, to.host);
        if (!isSent) traffic.packetErrors++;
      } catch {
        // No route, no such network, too long: gossip takes it as a packet that was lost.
        traffic.packetErrors++;
        return;
      }
      traffic.packetsOut++;
      traffic.packetBytesOut += packet.length;
    },
    close: () => socket.close(),
  };
}
