import type { Clock } from "../../lib/clock.ts";
import type { Responder } from "./responder.ts";
import { listenTcp } from "./tcp-server.ts";
import { listenUdp, type Listening } from "./udp-server.ts";

export const DNS_PORT = 53;

export interface DnsServerOptions {
  host: string;
  port?: number;
  responder: Responder;
  clock: Clock;
}

/**
 * Takes questions on one address, by UDP and TCP on the same port.
 * @throws the system's error, such as EADDRINUSE or EADDRNOTAVAIL; then nothing is held
 */
export async function listenDns(options: DnsServerOptions): Promise<Listening> {
  const { host, port = DNS_PORT, responder, clock } = options;
  const udp = await listenUdp({ host, port }, responder);
  try {
    const tcp = listenTcp({ host, port: udp.port, responder, clock });
    return {
      port: udp.port,
      close() {
        udp.close();
        tcp.close();
      },
    };
  } catch (error) {
    udp.close();
    throw error;
  }
}
