import { growReceiveBuffer } from "./receive-buffer.ts";
import type { Responder } from "./responder.ts";

/** See `SEND_TRIES` of gossip's packets: an ICMP answer to one packet is told at another one. */
const SEND_TRIES = 3;
/** Some thousand questions: a tenth of a second of more than there ever are. */
const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024;

export interface Listening {
  readonly port: number;
  close(): void;
}

/**
 * Answers datagrams.
 * @throws the system's error, such as EADDRINUSE or EADDRNOTAVAIL
 */
export async function listenUdp(
  { host, port }: { host: string; port: number },
  responder: Responder,
): Promise<Listening> {
  const socket = await Bun.udpSocket({
    hostname: host,
    port,
    socket: {
      data(own, packet, fromPort, from) {
        const response = responder.respond(packet, from, "udp");
        if (response instanceof Promise) {
          void response.then((later) => send(own, later, fromPort, from));
        } else {
          send(own, response, fromPort, from);
        }
      },
      // Somebody did not wait for the answer; without a listener that would end the process.
      error() {},
    },
  });
  await growReceiveBuffer(socket, RECEIVE_BUFFER_BYTES);
  return { port: socket.port, close: () => socket.close() };
}

function send(
  socket: Bun.udp.Socket<"buffer">,
  response: Buffer | undefined,
  port: number,
  host: string,
): void {
  if (response === undefined || socket.closed) return;
  for (let tries = 1; tries <= SEND_TRIES; tries++) {
    try {
      if (socket.send(response, port, host)) return;
    } catch {
      // Nobody is there any more, or was at port 0: an answer is lost, as any datagram may be.
    }
  }
}
