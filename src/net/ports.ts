import { createSocket, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Port } from "../model/service.ts";

interface Claim {
  holders: Set<string>;
  close: () => void;
}

/**
 * Holds the published ports of a node. Packets for them never get this far, because nftables sends
 * them to the tasks; holding the port tells a program that wants it too that it is taken, tells us
 * when another program was first, and refuses connections while no task is ready.
 */
export class PortClaims {
  readonly #hasIpv6: boolean;
  readonly #claims = new Map<string, Promise<Claim>>();

  /** @param hasIpv6 whether tasks are reached by the node's IPv6 addresses too */
  constructor(hasIpv6 = false) {
    this.#hasIpv6 = hasIpv6;
  }

  /**
   * Takes the port for `holder`; several holders share a claim.
   * @throws OrchdError `conflict` when another program has the port
   */
  async claim(port: Port, holder: string): Promise<void> {
    const key = keyOfPort(port);
    let pending = this.#claims.get(key);
    if (pending === undefined) {
      pending = open(port, this.#hasIpv6);
      this.#claims.set(key, pending);
      pending.catch(() => this.#claims.delete(key));
    }
    (await pending).holders.add(holder);
  }

  /** Lets go of everything that `holder` has; a port without holders is free again. */
  async release(holder: string): Promise<void> {
    await this.keep(holder, []);
  }

  /** Lets go of what `holder` has beside these ports. */
  async keep(holder: string, ports: readonly Port[]): Promise<void> {
    const kept = new Set(ports.map(keyOfPort));
    for (const [key, pending] of this.#claims) {
      if (kept.has(key)) continue;
      const claim = await pending.catch(() => undefined);
      if (claim === undefined || !claim.holders.delete(holder)) continue;
      if (claim.holders.size > 0) continue;
      this.#claims.delete(key);
      claim.close();
    }
  }

  async close(): Promise<void> {
    const all = [...this.#claims.values()];
    this.#claims.clear();
    for (const pending of all) (await pending.catch(() => undefined))?.close();
  }
}

/** What a claim is of: two ports with one key are the same. */
export function keyOfPort(port: Port): string {
  return `${port.hostIp ?? "*"}:${port.published}/${port.protocol}`;
}

async function open(port: Port, hasIpv6: boolean): Promise<Claim> {
  const { protocol, published, hostIp = "0.0.0.0" } = port;
  const sockets: (Server | Socket)[] = [];
  const close = () => {
    for (const socket of sockets) socket.close();
  };
  try {
    for (const host of hasIpv6 && port.hostIp === undefined ? [hostIp, "::"] : [hostIp]) {
      const openOne = protocol === "tcp" ? openTcp : openUdp;
      sockets.push(await openOne(published, host));
    }
    return { holders: new Set(), close };
  } catch (cause) {
    close();
    const where = `port ${published}/${protocol}`;
    if (systemCodeOf(cause) === "EADDRINUSE") {
      const message = `${where} is in use by another program here: stop it or publish another port`;
      throw new OrchdError("conflict", message, { cause });
    }
    throw new OrchdError("runtime", `${where} could not be taken on this node`, { cause });
  }
}

function openTcp(port: number, host: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.resetAndDestroy());
    server.once("error", reject);
    server.listen({ port, host, ipv6Only: host === "::" }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function openUdp(port: number, host: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      host === "::" ? createSocket({ type: "udp6", ipv6Only: true }) : createSocket("udp4");
    socket.once("error", reject);
    socket.bind(port, host, () => {
      // Without a listener an ICMP answer to a datagram would end the process.
      socket.on("error", () => undefined);
      socket.unref();
      resolve(socket);
    });
  });
}
