import { OrchdError } from "../lib/errors.ts";

/*
 * Pings of a chosen size that nobody on the way may cut to pieces, through the C library: Bun has
 * no such socket. Numbers are those of Linux's `in.h`, layouts those of RFC 791 and RFC 792.
 */

const AF_INET = 2;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const IP_MTU_DISCOVER = 10;
/** Sets "don't fragment" whatever the kernel believes of the way. */
const IP_PMTUDISC_PROBE = 3;
const SOCKADDR_BYTES = 16;
const IP_HEADER_BYTES = 20;
const ICMP_HEADER_BYTES = 8;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** The least that every network of IPv4 carries (RFC 791 asks for 68, Linux for this). */
const SMALLEST_BYTES = 576;
const TRIES = 3;
const ANSWER_MS = 300;
const LOOK_MS = 5;

/**
 * The largest packet up to `size` bytes that gets to an IPv4 address and back; 0 where not even the
 * smallest does, since somebody drops pings or nobody is there.
 * @throws OrchdError `runtime` when the kernel gives no such socket, as to those who are not root
 */
export async function largestPacket(address: string, size: number): Promise<number> {
  const ping = await openPing(address);
  try {
    if (await ping.passes(size)) return size;
    if (!(await ping.passes(SMALLEST_BYTES))) return 0;
    let [passes, fails] = [SMALLEST_BYTES, size];
    while (fails - passes > 1) {
      const middle = Math.floor((passes + fails) / 2);
      if (await ping.passes(middle)) passes = middle;
      else fails = middle;
    }
    return passes;
  } finally {
    ping.close();
  }
}

async function openPing(address: string) {
  const { dlopen } = await import("bun:ffi");
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const fd = libc.socket(AF_INET, SOCK_RAW_NONBLOCK_CLOEXEC, IPPROTO_ICMP);
  const peer = new Uint8Array(SOCKADDR_BYTES);
  peer.set([AF_INET, 0, 0, 0, ...address.split(".").map(Number)]);
  const manner = Int32Array.of(IP_PMTUDISC_PROBE);
  if (
    fd < 0 ||
    libc.setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, manner, 4) !== 0 ||
    libc.connect(fd, peer, peer.length) !== 0
  ) {
    if (fd >= 0) libc.close(fd);
    throw new OrchdError("runtime", `${address} can't be pinged from here`);
  }
  const buffer = new Uint8Array(64 * 1024);
  const id = process.pid & 0xffff;
  let sequence = 0;

  function isAnswered(): boolean {
    for (;;) {
      const length = Number(libc.recv(fd, buffer, buffer.length, 0));
      if (length <= 0) return false;
      const message = buffer.subarray(((buffer[0] ?? 0) & 15) * 4, length);
      const view = new DataView(message.buffer, message.byteOffset, message.length);
      if (message.length < ICMP_HEADER_BYTES || message[0] !== ECHO_REPLY) continue;
      if (view.getUint16(4) === id && view.getUint16(6) === sequence) return true;
    }
  }

  async function passes(size: number): Promise<boolean> {
    for (let i = 0; i < TRIES; i++) {
      sequence = (sequence + 1) & 0xffff;
      const request = echoRequest(id, sequence, size - IP_HEADER_BYTES);
      // Too large for this machine's own device.
      if (Number(libc.send(fd, request, request.length, 0)) !== request.length) return false;
      for (let waited = 0; waited < ANSWER_MS; waited += LOOK_MS) {
        if (isAnswered()) return true;
        await Bun.sleep(LOOK_MS);
      }
    }
    return false;
  }

  return { passes, close: () => void libc.close(fd) };
}

function echoRequest(id: number, sequence: number, bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  const view = new DataView(message.buffer);
  message[0] = ECHO_REQUEST;
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  view.setUint16(2, checksumOf(message));
  return message;
}

/** The complement of the sum, in ones' complement, of all words (RFC 1071). */
function checksumOf(message: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) {
    sum += ((message[i] ?? 0) << 8) | (message[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
