import type { Refusal } from "../../core/gossip/wire/refusal.ts";

/** Why a connection came to nothing, beside what its bytes say. */
export type StreamFailure = "tooManyStreams" | "deadline" | "broken";

/** What went over the network since the start: numbers that only grow. */
export class GossipTraffic {
  packetsIn = 0;
  packetsOut = 0;
  /** Bytes of UDP payload. */
  packetBytesIn = 0;
  packetBytesOut = 0;
  streamsIn = 0;
  streamsOut = 0;
  streamBytesIn = 0;
  streamBytesOut = 0;
  /** Attempts at which the system did not send a packet, and ICMP answers to packets. */
  packetErrors = 0;
  readonly refused = new Map<Refusal, number>();
  readonly streamFailures = new Map<StreamFailure, number>();

  countRefused(refusal: Refusal): void {
    this.refused.set(refusal, (this.refused.get(refusal) ?? 0) + 1);
  }

  countStreamFailure(failure: StreamFailure): void {
    this.streamFailures.set(failure, (this.streamFailures.get(failure) ?? 0) + 1);
  }
}
