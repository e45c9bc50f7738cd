/** First byte of each message; memberlist's net.go. */
export const TYPE = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  error: 13,
  /** Since memberlist 0.3; no version of encryption and no other type is as high. */
  label: 244,
} as const;

export function isKnownType(type: number): boolean {
  return Object.values(TYPE).some((known) => known === type);
}
