import type { StreamMessage } from "../../../../src/core/gossip/wire/stream-message.ts";

/** A push/pull of one member with that name. */
export function aPushPull(node: string): StreamMessage {
  const member = {
    node,
    address: { host: "10.0.0.1", port: 7946 },
    meta: new Uint8Array(),
    incarnation: 1,
    state: "alive",
    versions: [1, 5, 5, 2, 5, 4],
  } as const;
  return {
    type: "pushPull",
    state: { join: true, members: [member], userState: new Uint8Array(3000) },
    refused: [],
  };
}
