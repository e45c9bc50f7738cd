import type { Log } from "../lib/log.ts";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { RegistryScope } from "../model/registry-scope.ts";
import type { Registry } from "./registry.ts";
import { PULL_ALL } from "./registry-access.ts";
import { RegistryError, registryProblem } from "./registry-error.ts";

/** Where people find the registry of a machine that runs orchd, on loopback. */
export const REGISTRY_PORT = 6775;
const BODY_BYTES_MAX = 64 * 1024 ** 3;
const SILENCE_MAX_S = 255;
const CHALLENGE = 'Basic realm="orchd"';

export interface RegistryListener {
  /** `127.0.0.1:6775` */
  address: string;
  close(): Promise<void>;
}

/**
 * Lets in whoever wants to change something, by the header `authorization`, and says what they may
 * change; throws `unauthorized`. Absent scopes mean everything.
 */
export type RegistryGuard = (authorization: string | undefined) => {
  scopes?: readonly RegistryScope[];
};

export interface ListenOptions {
  registry: Registry;
  log: Log;
  /** Absent where nothing can be changed. */
  guard?: RegistryGuard;
  port?: number;
}

/**
 * Serves the registry on loopback, where the machine's own runtime pulls from it. Everybody there
 * may read; whoever writes shows a token. Where the usual port is taken it takes another one.
 */
export function serveRegistry(options: ListenOptions): RegistryListener {
  const { registry, log, guard, port = REGISTRY_PORT } = options;
  const serve = (on: number) =>
    Bun.serve({
      hostname: "127.0.0.1",
      port: on,
      idleTimeout: SILENCE_MAX_S,
      maxRequestBodySize: BODY_BYTES_MAX,
      development: false,
      fetch: (request, server) => {
        // A blob that has to be fetched first takes as long as it takes.
        server.timeout(request, 0);
        return answer(registry, guard, request);
      },
    });
  const server = orAnother(serve, port, log);
  return {
    address: `127.0.0.1:${server.port}`,
    close: async () => {
      await server.stop(true);
      await registry.close();
    },
  };
}

function orAnother<T>(serve: (port: number) => T, port: number, log: Log): T {
  try {
    return serve(port);
  } catch (error) {
    if (systemCodeOf(error) !== "EADDRINUSE") throw error;
    log.info(`something else listens on 127.0.0.1:${port}: images are served on another port`);
    return serve(0);
  }
}

function answer(
  registry: Registry,
  guard: ListenOptions["guard"],
  request: Request,
): Promise<Response> | Response {
  const isReading = request.method === "GET" || request.method === "HEAD";
  // Programs use the password that they were given only where their first call was refused; those
  // that have none go on all the same.
  const isFirst = guard !== undefined && /^\/v2\/?$/.test(new URL(request.url).pathname);
  if (isReading && !isFirst) return registry.answer(request);
  try {
    if (guard === undefined) {
      const message = "this node's images are copies: push to the registry of a server";
      throw new RegistryError("DENIED", message);
    }
    const { scopes } = guard(request.headers.get("authorization") ?? undefined);
    return registry.answer(request, scopes && [...scopes, PULL_ALL]);
  } catch (error) {
    return refusalOf(error);
  }
}

/** Whom a guard does not know is asked for a name and password, as programs for registries do. */
function refusalOf(error: unknown): Response {
  const isUnknown = error instanceof OrchdError && error.code === "unauthorized";
  const asked = { "www-authenticate": CHALLENGE };
  const told = isUnknown ? new RegistryError("UNAUTHORIZED", error.message, asked) : error;
  return registryProblem(told, () => {});
}
