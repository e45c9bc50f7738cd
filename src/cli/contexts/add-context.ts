import { parseServerAddress } from "../../model/server-address.ts";
import { formatToken, parseToken, type TokenText } from "../../model/token-text.ts";
import { OrchdError } from "../../lib/errors.ts";
import { usageError } from "../context.ts";
import type { Io } from "../io.ts";
import { LOCAL } from "./choose-server.ts";
import { contextsPathOf, readContexts, writeContexts } from "./contexts-file.ts";

export interface AddFlags {
  server?: string;
  token?: string;
  use?: boolean;
  replace?: boolean;
}

/**
 * Keeps a server under a name. It is believed when its authority's digest is the token's, and kept
 * when it takes the token: what can't be used is not kept.
 * @param word `TOKEN[@HOST:PORT]` instead of the options
 * @throws OrchdError `usage`, `conflict`, `unreachable`, `forbidden`, `unauthorized`
 */
export async function addContext(
  io: Io,
  name: string,
  word: string | undefined,
  flags: AddFlags,
): Promise<{ server: string; isSelected: boolean }> {
  refuseName(name);
  const path = contextsPathOf(io.env);
  if (path === undefined) {
    throw usageError("there is no place for contexts: set HOME, or XDG_CONFIG_HOME");
  }
  const { contexts } = readContexts(path);
  if (Object.hasOwn(contexts, name) && flags.replace !== true) {
    const message = `there is a context ${name} already: replace it with --replace`;
    throw new OrchdError("conflict", message);
  }
  const { server, token } = await readTarget(io, word, flags);
  const text = formatToken(token);
  const { provenCa } = await import("../../api/client-ca.ts");
  const { ApiClient } = await import("../../api/client.ts");
  const caCertificate = await provenCa(server, token);
  const client = await ApiClient.onServer({ address: server, ca: caCertificate, token: text });
  await client.version();
  // Read again: another command may have kept something while the server was asked.
  const kept = readContexts(path);
  const selected = flags.use === true ? name : kept.selected;
  writeContexts(path, {
    ...(selected === undefined ? {} : { selected }),
    contexts: { ...kept.contexts, [name]: { server, token: text, caCertificate } },
  });
  return { server, isSelected: selected === name };
}

function refuseName(name: string): void {
  if (name === LOCAL) throw usageError("local is this machine's socket: take another name");
  if (/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/.test(name)) return;
  throw usageError("a context's name has at most 63 letters, digits, '.', '-' and '_'");
}

async function readTarget(
  io: Io,
  word: string | undefined,
  flags: AddFlags,
): Promise<{ server: string; token: TokenText }> {
  if (word !== undefined && flags.token !== undefined) {
    throw usageError("the token is given twice: leave out --token");
  }
  const given = (await readGiven(io, word ?? flags.token)).replace(/\s+/g, "");
  const at = given.indexOf("@");
  const token = parseToken(at < 0 ? given : given.slice(0, at));
  if (!token.ok) throw usageError(token.problem);
  const address = flags.server ?? (at < 0 ? undefined : given.slice(at + 1));
  if (address === undefined) {
    throw usageError("which server? Name it with --server HOST:PORT, or behind the token as @HOST");
  }
  const server = parseServerAddress(address);
  if (!server.ok) throw usageError(server.problem);
  return { server: server.value, token: token.value };
}

/** A token on the command line shows in process lists; `-` and the environment don't. */
async function readGiven(io: Io, given: string | undefined): Promise<string> {
  if (given === "-") {
    if (!io.stdin.isTerminal) return new Response(io.stdin.read()).text();
    throw usageError("standard input is a terminal: pipe the token into it");
  }
  const text = given ?? io.env["ORCHD_TOKEN"];
  if (text !== undefined && text !== "") return text;
  throw usageError("which token? Give it with --token, where - reads it, or as ORCHD_TOKEN");
}
