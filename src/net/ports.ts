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
  readonly #claims = new Map<string, Promise<Claim>>();

  /**
   * Takes the port for `holder`; several holders share a claim.
   * @throws OrchdError `conflict` when another program has the port
   */
  async claim(port: Port, holder: string): Promise<void> {
    const key = keyOfPort(port);
    let pending = this.#claims.get(key);
    if (pending === undefined) {
      pending = open(port);
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

async function open(port: Port): Promise<Claim> {
  try {
    const socket = port.protocol === "tcp" ? await openTcp(port) : await openUdp(port);
    return { holders: new Set(), close: () => void socket.close() };
  } catch (cause) {
    const where = `port ${port.published}/${port.protocol}`;
    if (systemCodeOf(cause) === "EADDRINUSE") {
      const message = `${where} is in use by another program here: stop it or publish another port`;
      throw new OrchdError("conflict", message, { cause });
    }
    throw new OrchdError("runtime", `${where} could not be taken on this node`, { cause });
  }
}

function openTcp(port: Port): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.resetAndDestroy());
    server.once("error", reject);
    server.listen({ port: port.published, host: port.hostIp ?? "0.0.0.0" }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function openUdp(port: Port): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.bind(port.published, port.hostIp ?? "0.0.0.0", () => {
      // Without a listener an ICMP answer to a datagram would end the process.
      socket.on("error", () => undefined);
      socket.unref();
      resolve(socket);
    });
  });
}
