import type { Hono } from "hono";
import * as fs from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { ApiEnv, Guard } from "./env.ts";
import type { ApiSocketData } from "./api-socket.ts";
import { apiWebSocketHandler } from "./web-socket.ts";

/**
 * Streams, and uploads that a runtime digests, are silent for long. The types of a Unix listener
 * leave the option out, yet without it a request is cut after 10 s, and `timeout()` can't help it.
 */
const SILENCE_UNLIMITED = 0 as never;
/** Only image archives come near; the app bounds everything else. */
const ARCHIVE_BYTES_MAX = 64 * 1024 ** 3;

export interface ApiListener {
  /** Takes no more connections and ends those that are there. Removes the socket. */
  close(): Promise<void>;
}

/**
 * Serves the app on a Unix socket that root alone can open. A socket that a killed server left is
 * replaced.
 * @param guard asked at every request, for a socket that is joined to one that others reach
 * @throws OrchdError `conflict` when another server answers there, `forbidden`, `invalid`
 */
export async function serveApi(
  app: Hono<ApiEnv>,
  { socketPath, guard }: { socketPath: string; guard?: Guard },
): Promise<ApiListener> {
  await makeWay(socketPath);
  const guarded = guard === undefined ? {} : { guard };
  const previousMask = process.umask(0o177);
  try {
    const server = Bun.serve<ApiSocketData>({
      unix: socketPath,
      idleTimeout: SILENCE_UNLIMITED,
      maxRequestBodySize: ARCHIVE_BYTES_MAX,
      development: false,
      fetch: (request, server) => app.fetch(request, { server, ...guarded }),
      websocket: apiWebSocketHandler,
    });
    fs.chmodSync(socketPath, 0o600);
    return { close: () => server.stop(true) };
  } catch (error) {
    throw classifyListenError(socketPath, error);
  } finally {
    process.umask(previousMask);
  }
}

async function makeWay(socketPath: string): Promise<void> {
  try {
    fs.mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
    const found = fs.lstatSync(socketPath, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isSocket()) {
      const message = `${socketPath} is there and is not a socket: move it away or name another`;
      throw new OrchdError("invalid", message);
    }
    if (await answers(socketPath)) {
      const message =
        `another orchd server listens on ${socketPath}: ` + "stop it, or name another socket";
      throw new OrchdError("conflict", message);
    }
    fs.unlinkSync(socketPath);
  } catch (error) {
    throw classifyListenError(socketPath, error);
  }
}

/** Whether anybody listens; a socket file without a listener refuses. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error) => {
      const code = systemCodeOf(error);
      if (code === "ECONNREFUSED" || code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
}

function classifyListenError(socketPath: string, error: unknown): OrchdError {
  if (error instanceof OrchdError) return error;
  const message = `cannot listen on ${socketPath}: name another socket`;
  const code = systemCodeOf(error) ?? "";
  const kind = /^(EACCES|EPERM|EROFS)$/.test(code) ? "forbidden" : "invalid";
  return new OrchdError(kind, message, { cause: error });
}
