/** Numbers of DNS (RFC 1035, 2671, 6891) that are used here by hand. */

export const HEADER_BYTES = 12;
export const NAME_BYTES_MAX = 255;
/** What fits into a datagram when the client does not say otherwise. */
export const PLAIN_UDP_BYTES = 512;
/** No larger datagram leaves: it would be cut into fragments (DNS flag day 2020). */
export const UDP_BYTES_MAX = 1232;
export const TCP_BYTES_MAX = 65_535;
export const CLASS_IN = 1;

export const FLAG = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
  rcode: 0x000f,
} as const;

export const RCODE = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
  /** Of EDNS: its upper bits stand in the OPT record. */
  badVersion: 16,
} as const;

export const TYPE = { soa: 6, opt: 41, transferOfChanges: 251, transfer: 252, any: 255 } as const;

/** `DO`: the client wants signatures as well. */
export const EDNS_DO = 0x8000;

/** An OPT record without options (RFC 6891, section 6.1). */
export function optRecord(isDnssec: boolean, extendedRcode = 0): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(TYPE.opt, 1);
  record.writeUInt16BE(UDP_BYTES_MAX, 3);
  record[5] = extendedRcode;
  record.writeUInt16BE(isDnssec ? EDNS_DO : 0, 7);
  return record;
}
