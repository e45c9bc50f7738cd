import { connect } from "node:net";

const TIMEOUT_MS = 1000;

/** Whether something takes a TCP connection there; nothing is sent. */
export function takesConnections(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: TIMEOUT_MS });
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    // Refused, unreachable, reset: whatever it is, it takes no connections now.
    socket.on("error", () => end(false));
  });
}
