import { connect, type Socket } from "node:net";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { ByteStream } from "../model/session.ts";

const CONNECT_TIMEOUT_MS = 5000;

/**
 * Connects to a TCP port.
 * @throws OrchdError `unreachable` (retryable) when nothing takes the connection
 */
export function connectTcp(address: string, port: number): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true });
    const refuse = (why: string, cause?: unknown) => {
      socket.destroy();
      const message = `port ${port} of the task ${why}`;
      reject(new OrchdError("unreachable", message, { retryable: true, cause }));
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => refuse("does not answer"));
    socket.once("error", (error) => {
      if (systemCodeOf(error) === "ECONNREFUSED") refuse("refuses connections: nothing listens");
      else refuse("can't be reached", error);
    });
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.removeAllListeners("error").removeAllListeners("timeout");
      resolve(byteStreamOf(socket));
    });
  });
}

/** A TCP connection as a stream of bytes. It must have been made with `allowHalfOpen`. */
export function byteStreamOf(socket: Socket): ByteStream {
  let failure: OrchdError | undefined;
  // Told to whoever reads or writes next.
  socket.on("error", (error) => (failure = broken(error)));
  return {
    input: readAll(socket, () => failure),
    write(data) {
      if (failure !== undefined) return Promise.reject(failure);
      if (socket.destroyed || socket.write(data)) return Promise.resolve();
      return drained(socket, () => failure);
    },
    end: () => void socket.end(),
    close: () => void socket.destroy(),
  };
}

async function* readAll(
  socket: Socket,
  failure: () => OrchdError | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    // The end of this direction must not end the other one.
    yield* socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw failure() ?? broken(error);
  }
}

function drained(socket: Socket, failure: () => OrchdError | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      socket.off("drain", end).off("close", end);
      const error = failure();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.on("drain", end).on("close", end);
  });
}

function broken(cause: unknown): OrchdError {
  return new OrchdError("unreachable", "the connection broke", { retryable: true, cause });
}
