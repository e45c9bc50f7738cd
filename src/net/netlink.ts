import { OrchdError } from "../lib/errors.ts";

/*
 * A netlink socket through the C library: Bun has none of its own. Numbers and layouts are those of
 * Linux's `netlink.h`, `rtnetlink.h` and `nfnetlink.h`. Nothing here waits.
 */

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_RCVBUFFORCE = 33;
const ENOBUFS = 105;
/** What is not read for a while must fit: a table of some thousand rules is told piece by piece. */
const QUEUE_BYTES = 4 * 1024 * 1024;
/** The kernel puts no more than this into one datagram. */
const DATAGRAM_BYTES = 64 * 1024;
const HEADER_BYTES = 16;

export interface NetlinkMessage {
  type: number;
  flags: number;
  /** What comes after the header. */
  body: Uint8Array;
}

export interface NetlinkSocket {
  /** Throws away what has come so far when `send` was not heard; answers whether it was taken. */
  send(message: Uint8Array): boolean;
  /** What has come since the last call; undefined when something was lost in between. */
  receive(): NetlinkMessage[] | undefined;
  close(): void;
}

export interface NetlinkStream {
  stream: ReadableStream<Uint8Array>;
  close: () => void;
}

/**
 * Opens a socket that hears of the groups whose bits are set.
 * @throws OrchdError `runtime` when the C library or the kernel does not give one
 */
export async function openNetlink(protocol: number, groups: number): Promise<NetlinkSocket> {
  const { libc, fd } = await openSocket(protocol, groups);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, Int32Array.of(QUEUE_BYTES), 4);
  const buffer = new Uint8Array(DATAGRAM_BYTES);
  const trouble = Int32Array.of(0);
  return {
    send: (message) => Number(libc.send(fd, message, message.length, 0)) === message.length,
    receive() {
      libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, trouble, Int32Array.of(4));
      const isLost = trouble[0] === ENOBUFS;
      const messages: NetlinkMessage[] = [];
      for (;;) {
        const length = Number(libc.recv(fd, buffer, buffer.length, 0));
        if (length <= 0) return isLost ? undefined : messages;
        messages.push(...splitMessages(buffer.slice(0, length)));
      }
    },
    close: () => void libc.close(fd),
  };
}

/**
 * What the groups are told, as it comes: nothing is done while they are silent. It ends with
 * `ENOBUFS` when more came at once than the kernel keeps. `close` is for when it has ended: Bun
 * reads from a second descriptor, and closes that one alone.
 * @throws OrchdError `runtime` when the C library or the kernel does not give one
 */
export async function streamNetlink(protocol: number, groups: number): Promise<NetlinkStream> {
  const { libc, fd } = await openSocket(protocol, groups);
  return { stream: Bun.file(fd).stream(), close: () => void libc.close(fd) };
}

async function openSocket(protocol: number, groups: number) {
  const { dlopen } = await import("bun:ffi");
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, protocol);
  const address = new Uint8Array(12);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, groups, true);
  if (fd < 0 || libc.bind(fd, address, address.length) !== 0) {
    if (fd >= 0) libc.close(fd);
    throw new OrchdError("runtime", "the kernel does not tell of changes to the network");
  }
  return { libc, fd };
}

function splitMessages(datagram: Uint8Array): NetlinkMessage[] {
  const view = new DataView(datagram.buffer);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + HEADER_BYTES <= datagram.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > datagram.length) break;
    const type = view.getUint16(at + 4, true);
    const flags = view.getUint16(at + 6, true);
    messages.push({ type, flags, body: datagram.subarray(at + HEADER_BYTES, at + length) });
    at += align(length);
  }
  return messages;
}

/** The attributes in a message's body from an offset on, by their number; of several the last. */
export function attributesOf(body: Uint8Array, from: number): Map<number, Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const found = new Map<number, Uint8Array>();
  for (let at = from; at + 4 <= body.length;) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > body.length) break;
    // The two highest bits tell of nesting and byte order.
    found.set(view.getUint16(at + 2, true) & 0x3fff, body.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

/** A text as netlink has it, with a zero at its end. */
export function textOf(attribute: Uint8Array | undefined): string {
  return new TextDecoder().decode(attribute).replace(/\0.*$/s, "");
}

/** A message with its header, to send. */
export function formatMessage(type: number, flags: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  message.set(body, HEADER_BYTES);
  return message;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
