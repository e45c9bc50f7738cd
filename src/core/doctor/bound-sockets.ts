/** A socket that waits for connections or datagrams. */
export interface BoundSocket {
  protocol: "tcp" | "udp";
  /** IPv4; `*` for all addresses, also those of IPv6 and IPv4 together. */
  address: string;
  port: number;
  /** By which /proc tells whose it is; 0 where it is the kernel's own. */
  inode: number;
}

/** TCP_LISTEN and, for UDP, TCP_CLOSE: a socket that is connected to nobody (tcp_states.h). */
const WAITING = { tcp: "0A", udp: "07" } as const;
/** `::ffff:1.2.3.4`, each word of four bytes last byte first. */
const MAPPED = /^0{16}F{4}0{4}/;

/**
 * The sockets that wait for somebody, but for those of IPv6 addresses alone.
 * @param text of /proc/net/tcp, tcp6, udp or udp6 (proc_net(5))
 */
export function parseBoundSockets(text: string, protocol: "tcp" | "udp"): BoundSocket[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      const [host = "", port = ""] = local.split(":");
      const address = parseHost(host);
      if (state !== WAITING[protocol] || address === undefined) return [];
      return [{ protocol, address, port: Number.parseInt(port, 16), inode: Number(inode) }];
    });
}

/** Who is in the way of a program that wants the port, on one address or on all. */
export function socketAt(
  sockets: readonly BoundSocket[],
  wanted: { protocol: "tcp" | "udp"; port: number; address?: string },
): BoundSocket | undefined {
  return sockets.find(({ protocol, port, address }) => {
    if (protocol !== wanted.protocol || port !== wanted.port) return false;
    return wanted.address === undefined || address === "*" || address === wanted.address;
  });
}

function parseHost(hex: string): string | undefined {
  if (/^0+$/.test(hex)) return "*";
  const last = hex.length === 32 && MAPPED.test(hex) ? hex.slice(24) : hex;
  if (!/^[0-9A-F]{8}$/i.test(last)) return undefined;
  const bytes = last.match(/../g)?.toReversed() ?? [];
  return bytes.map((byte) => Number.parseInt(byte, 16)).join(".");
}
