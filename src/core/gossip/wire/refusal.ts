/**
 * Why bytes from the network are not taken. A closed list, so that each word can be a metric's
 * label.
 */
export const REFUSALS = [
  /** No byte at all where a message must be. */
  "empty",
  /** Ends before the message does. */
  "truncated",
  /** A message type that this version does not know. */
  "unknownType",
  /** A type that is known, and has no business there: a push/pull in a packet, an ack unasked. */
  "misplaced",
  /** A msgpack value of another type than the field's. */
  "badValue",
  /** A number out of the field's range: negative, a fraction, too large. */
  "badNumber",
  /** A text that is no UTF-8. */
  "badText",
  /** One field twice in a message. */
  "duplicateField",
  /** A member's name that is missing or too long. */
  "badName",
  /** An address or port that no member can have. */
  "badAddress",
  /** The six versions are missing, too few or not in order. */
  "badVersions",
  /** A member state that is none of the four. */
  "badState",
  /** More than one of the limits allows. */
  "tooLarge",
  /** More messages in a packet than the limit allows. */
  "tooMany",
  /** Compound and compressed messages within one another, deeper than anybody sends. */
  "tooDeep",
  /** Compressed data that can't be unpacked, or an unknown method. */
  "badCompression",
  "badChecksum",
  /** The label of another cluster, or none where one must be, or one where none may be. */
  "badLabel",
  /** Not encrypted though this cluster has keys. */
  "plaintext",
  /** No key opens it. */
  "undecryptable",
  /** The other end tells of an error instead of answering. */
  "remoteError",
] as const;

export type Refusal = (typeof REFUSALS)[number];
