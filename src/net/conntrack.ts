import { OrchdError } from "../lib/errors.ts";
import type { StaleFlows } from "../core/network/stale-flows.ts";
import { textOfIpv6 } from "../lib/ip.ts";
import { attributesOf, formatMessage, NETLINK_NETFILTER, openNetlink } from "./netlink.ts";
import type { NetlinkSocket } from "./netlink.ts";

/** Of `nfnetlink_conntrack.h`. */
const CT_NEW = 1 << 8;
const CT_GET = (1 << 8) | 1;
const CT_DELETE = (1 << 8) | 2;
const TUPLE_ORIGINAL = 1;
const TUPLE_REPLY = 2;
const STATUS = 3;
const STATUS_MASK = 26;
const TUPLE_IP = 1;
const TUPLE_PROTOCOL = 2;
/** Those of IPv4 and of IPv6. */
const IP_SOURCE = [1, 3] as const;
const IP_DESTINATION = [2, 4] as const;
const PROTOCOL_NUMBER = 1;
const PROTOCOL_DESTINATION_PORT = 3;
const FILTER = 25;
const FILTER_ORIGINAL = 1;
/** Compares the protocol alone (the kernel's nf_internals.h); since Linux 5.8. */
const FILTER_BY_PROTOCOL = Uint8Array.of(1 << 3, 0, 0, 0);
/** Of `netlink.h`. */
const REQUEST = 1;
const DUMP = 0x300;
const NESTED = 0x8000;
const DONE = 3;

const TCP = 6;
const UDP = 17;
/** Of `nf_conntrack_common.h`: a packet has come back. */
const SEEN_REPLY = 1 << 1;
/** `struct nfgenmsg` for IPv4, and for IPv6. */
const IPV4_HEAD = Uint8Array.of(2, 0, 0, 0);
const IPV6_HEAD = Uint8Array.of(10, 0, 0, 0);

/**
 * Makes the kernel choose again for flows to tasks that are gone. It remembers one of UDP for as
 * long as its client goes on sending, whether somebody answers or not; and one of TCP that nobody
 * has answered yet, as long as its client tries to connect. Connections that were made stay.
 * @returns how many flows were forgotten
 * @throws OrchdError `runtime` when the kernel does not let us
 */
export async function forgetFlows(stale: StaleFlows): Promise<number> {
  const socket = await openNetlink(NETLINK_NETFILTER, 0);
  try {
    let count = 0;
    for (const head of stale.hasIpv6 ? [IPV4_HEAD, IPV6_HEAD] : [IPV4_HEAD]) {
      count += forgetOf(socket, head, UDP, stale);
      if (stale.addresses.size > 0) count += forgetOf(socket, head, TCP, stale);
    }
    return count;
  } finally {
    socket.close();
  }
}

/** Those of one kind of addresses and one protocol. */
function forgetOf(
  socket: NetlinkSocket,
  head: Uint8Array,
  protocol: number,
  stale: StaleFlows,
): number {
  socket.send(formatMessage(CT_GET, REQUEST | DUMP, question(head, protocol)));
  // A dump goes on with each read, and has ended when there is nothing more to read.
  const answer = socket.receive() ?? [];
  if (answer.at(-1)?.type !== DONE) {
    throw new OrchdError("runtime", "the kernel does not tell which flows it remembers");
  }
  const originals = answer
    .filter(({ type }) => type === CT_NEW)
    .map(({ body }) => attributesOf(body, 4))
    .filter((flow) => isStale(flow, protocol, stale))
    .flatMap((flow) => flow.get(TUPLE_ORIGINAL) ?? []);
  for (const tuple of originals) {
    socket.send(formatMessage(CT_DELETE, REQUEST, deletion(head, tuple)));
  }
  return originals.length;
}

function isStale(
  flow: ReadonlyMap<number, Uint8Array>,
  protocol: number,
  stale: StaleFlows,
): boolean {
  const [original, reply] = [flow.get(TUPLE_ORIGINAL), flow.get(TUPLE_REPLY)];
  if (original === undefined || reply === undefined) return false;
  const of = attributesOf(attributesOf(original, 0).get(TUPLE_PROTOCOL) ?? NOTHING, 0);
  if (of.get(PROTOCOL_NUMBER)?.[0] !== protocol) return false;
  if (protocol === TCP && ((flow.get(STATUS)?.[3] ?? SEEN_REPLY) & SEEN_REPLY) !== 0) return false;
  const sentTo = addressOf(original, IP_DESTINATION);
  const answeredBy = addressOf(reply, IP_SOURCE);
  if (sentTo !== answeredBy) return stale.addresses.has(answeredBy);
  const [high = 0, low = 0] = of.get(PROTOCOL_DESTINATION_PORT) ?? NOTHING;
  return protocol === UDP && stale.ports.has(high * 256 + low);
}

const NOTHING = new Uint8Array(0);

function addressOf(tuple: Uint8Array, [inet, inet6]: readonly [number, number]): string {
  const addresses = attributesOf(attributesOf(tuple, 0).get(TUPLE_IP) ?? NOTHING, 0);
  const bytes = addresses.get(inet6);
  return bytes === undefined ? (addresses.get(inet) ?? NOTHING).join(".") : textOfIpv6(bytes);
}

/**
 * Asks for flows of UDP, or for those of TCP that nobody has answered. An older kernel does not
 * know the filters, and tells of all.
 */
function question(head: Uint8Array, protocol: number): Uint8Array {
  const number = attribute(PROTOCOL_NUMBER, Uint8Array.of(protocol));
  const tuple = attribute(TUPLE_ORIGINAL | NESTED, attribute(TUPLE_PROTOCOL | NESTED, number));
  const filter = attribute(FILTER | NESTED, attribute(FILTER_ORIGINAL, FILTER_BY_PROTOCOL));
  const unanswered = [
    attribute(STATUS, Uint8Array.of(0, 0, 0, 0)),
    attribute(STATUS_MASK, Uint8Array.of(0, 0, 0, SEEN_REPLY)),
  ];
  return Buffer.concat([head, tuple, filter, ...(protocol === TCP ? unanswered : [])]);
}

function deletion(head: Uint8Array, tuple: Uint8Array): Uint8Array {
  return Buffer.concat([head, attribute(TUPLE_ORIGINAL | NESTED, tuple)]);
}

function attribute(type: number, content: Uint8Array): Uint8Array {
  const padded = new Uint8Array(4 + ((content.length + 3) & ~3));
  const view = new DataView(padded.buffer);
  view.setUint16(0, 4 + content.length, true);
  view.setUint16(2, type, true);
  padded.set(content, 4);
  return padded;
}
