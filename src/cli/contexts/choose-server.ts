import * as fs from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import type { TlsServer } from "../../api/client-tls.ts";
import type { Io } from "../io.ts";
import { socketPathOf } from "../socket-path.ts";
import type { ServerContext } from "./contexts-file.ts";

/** The name that stands for this machine's own socket wherever a context is named. */
export const LOCAL = "local";

/** Options of every command that asks a server. */
export interface ConnectionOptions {
  context?: string;
  socket?: string;
  dataDir?: string;
}

/** Which server a command asks. */
export type ServerChoice = { socketPath: string } | { context: string; server: TlsServer };

/**
 * The most explicit word counts: options, then ORCHD_CONTEXT, then ORCHD_SOCKET and ORCHD_DATA_DIR,
 * then the context that was selected, then this machine's socket.
 * @throws OrchdError `usage` when two words name two servers, `notFound` for an unknown context
 */
export async function chooseServer(options: ConnectionOptions, io: Io): Promise<ServerChoice> {
  const { env, cwd } = io;
  const local = { socketPath: socketPathOf(options, env, cwd) };
  const byOption = options.socket !== undefined || options.dataDir !== undefined;
  if (byOption && options.context !== undefined) {
    throw new OrchdError(
      "usage",
      "--context names a server, and so does the other option: use one",
    );
  }
  if (byOption) return local;
  const byEnvironment = Boolean(env["ORCHD_SOCKET"]) || Boolean(env["ORCHD_DATA_DIR"]);
  const named = options.context ?? (env["ORCHD_CONTEXT"] || undefined);
  if (options.context === undefined && named !== undefined && byEnvironment) {
    const message = "ORCHD_CONTEXT names a server, and so does another variable: unset one of them";
    throw new OrchdError("usage", message);
  }
  if (named === LOCAL || (named === undefined && byEnvironment)) return local;
  // Whoever has no contexts pays nothing for them.
  const { contextsPathOf, readContexts } = await import("./contexts-file.ts");
  const path = contextsPathOf(env);
  if (named === undefined && (path === undefined || !fs.existsSync(path))) return local;
  const { selected, contexts } = readContexts(path);
  const name = named ?? selected;
  if (name === undefined) return local;
  const context = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (context === undefined) throw unknownContext(name);
  return { context: name, server: serverOf(context, name) };
}

function serverOf({ server, token, caCertificate }: ServerContext, name: string): TlsServer {
  return { address: server, ca: caCertificate, token, context: name };
}

export function unknownContext(name: string): OrchdError {
  const message = `there is no context ${JSON.stringify(name)}: \`orchd context ls\` lists them`;
  return new OrchdError("notFound", message);
}
