import type { Server } from "node:net";
import type { Address, Message } from "../../core/gossip/messages.ts";
import {
  decodeDatagram,
  encodeDatagram,
  PACKET_BYTES_MAX,
  packetOverhead,
  packMessages,
  type Wrapping,
} from "../../core/gossip/wire/datagram.ts";
import type { AddressPolicy } from "../../core/gossip/wire/judge.ts";
import { LABEL_BYTES_MAX, labelBytes } from "../../core/gossip/wire/label.ts";
import type { StreamMessage } from "../../core/gossip/wire/stream-message.ts";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { Keyring } from "./keyring.ts";
import { openPacketSocket, type PacketSocket } from "./packets.ts";
import {
  exchangeStream,
  STREAM_LIMITS,
  StreamServer,
  type AnswerStream,
  type StreamLimits,
  type StreamSetting,
} from "./streams.ts";
import { GossipTraffic } from "./traffic.ts";

export const GOSSIP_PORT = 7946;
/** How often another port is tried, where any port will do and UDP's is taken. */
const PORT_TRIES = 20;

export interface TransportOptions {
  /** Address to listen on, for UDP and TCP; port 0 for any that is free. */
  bind: Address;
  /** Absent for a cluster without encryption. With keys, whatever is not encrypted is refused. */
  keyring?: Keyring;
  /** Name of the cluster on every packet and stream; others' are refused. serf 0.9 knows none. */
  label?: string;
  /** Whether what gets shorter by it is compressed. */
  compress: boolean;
  policy: AddressPolicy;
  /** Bytes of state in a push/pull; `STATE_BYTES_MAX` when absent. */
  stateBytesMax?: number;
  limits?: StreamLimits;
  clock: Clock;
  /** Called with the messages of a packet, in their order; never with none. */
  onPacket(messages: Message[], from: Address): void;
  onStream: AnswerStream;
}

/** UDP and TCP on one port. */
export interface GossipTransport {
  readonly port: number;
  /** What is added to the messages of each packet. */
  readonly overheadBytes: number;
  readonly traffic: GossipTraffic;
  /** Sends encoded messages in as few packets as they fit in; nobody hears of one that is lost. */
  send(to: Address, messages: readonly Uint8Array[]): void;
  /**
   * Sends a message over TCP and waits for the answer.
   * @throws OrchdError `unreachable`, `timedOut`, or `invalid` when the answer is not taken
   */
  exchange(to: Address, message: StreamMessage, timeoutMs: number): Promise<StreamMessage>;
  close(): void;
}

/** @throws OrchdError `conflict` when another program has the port, `invalid` for a long label */
export async function openGossipTransport(options: TransportOptions): Promise<GossipTransport> {
  const { keyring, policy, stateBytesMax, clock } = options;
  const wrapping: Wrapping = {
    label: checkedLabel(options.label ?? ""),
    cipher: keyring,
    compress: options.compress,
  };
  const traffic = new GossipTraffic();
  const setting: StreamSetting = {
    clock,
    traffic,
    limits: options.limits ?? STREAM_LIMITS,
    options: { wrapping, ...policy, ...(stateBytesMax === undefined ? {} : { stateBytesMax }) },
  };
  const streams = new StreamServer(setting, options.onStream);
  const packets = await openBoth(options, streams.server, traffic, (packet, from) => {
    const { messages, refused } = decodeDatagram(packet, wrapping, policy);
    for (const refusal of refused) traffic.countRefused(refusal);
    if (messages.length > 0) options.onPacket(messages, from);
  });
  const overheadBytes = packetOverhead(wrapping);
  const room = PACKET_BYTES_MAX - overheadBytes;
  return {
    port: packets.port,
    overheadBytes,
    traffic,
    send(to, messages) {
      for (const payload of packMessages(messages, room)) {
        packets.send(encodeDatagram(payload, wrapping), to);
      }
    },
    exchange: (to, message, timeoutMs) => exchangeStream(setting, to, message, timeoutMs),
    close() {
      packets.close();
      streams.close();
    },
  };
}

function checkedLabel(label: string): string {
  if (labelBytes(label).length <= LABEL_BYTES_MAX) return label;
  const text = `A gossip label has at most ${LABEL_BYTES_MAX} bytes: choose a shorter one.`;
  throw new OrchdError("invalid", text);
}

/** TCP first; where any port will do, UDP may already be taken on the one that it got. */
async function openBoth(
  { bind }: TransportOptions,
  server: Server,
  traffic: GossipTraffic,
  onPacket: (packet: Uint8Array, from: Address) => void,
): Promise<PacketSocket> {
  for (let tries = 1; ; tries++) {
    try {
      const port = await listen(server, bind);
      return await openPacketSocket({ host: bind.host, port }, traffic, onPacket);
    } catch (cause) {
      await stopListening(server);
      const isTaken = systemCodeOf(cause) === "EADDRINUSE";
      if (isTaken && bind.port === 0 && tries < PORT_TRIES) continue;
      throw cannotListen(bind, isTaken, cause);
    }
  }
}

function cannotListen({ host, port }: Address, isTaken: boolean, cause: unknown): OrchdError {
  const where = `gossip port ${port} of ${host}`;
  return isTaken
    ? new OrchdError("conflict", `${where} is in use by another program here`, { cause })
    : new OrchdError("runtime", `${where} can't be opened: is the address this machine's?`, {
        cause,
      });
}

function listen(server: Server, { host, port }: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.removeListener("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
