import { InvalidArgumentError, Option, type Command } from "commander";
import { parseRegistryScope } from "../../core/oci/parse-scope.ts";
import { formatDuration } from "../../lib/text.ts";
import { formatRegistryScope, type RegistryScope } from "../../model/registry-scope.ts";
import type { NewToken, TokenState, TokenSummary } from "../../model/token.ts";
import { connect, newCommand, newRemoteCommand, parseCount, printJson } from "../context.ts";
import { printLines, type Context, type RemoteOptions } from "../context.ts";
import { showList, type Listing } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { parseDuration } from "../output/parse-time.ts";

const EXPIRES_DEFAULT_MS = 86_400_000;
const STATE_TEXTS: Record<TokenState, string> = {
  valid: "valid",
  expired: "expired",
  usedUp: "used up",
};

export function tokenCommand(context: Context): Command {
  return newCommand({
    name: "token",
    description: "Makes and ends tokens, by which machines join and people are let in.",
    examples: ["orchd token create", "orchd token ls", "orchd token revoke k3n8pq2w7x4d"],
  })
    .helpCommand(false)
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(rotateCommand(context))
    .addCommand(revokeCommand(context));
}

interface CreateFlags extends RemoteOptions {
  admin?: boolean;
  scope?: RegistryScope[];
  /** Milliseconds. */
  expires: number | "never";
  uses?: number;
  description?: string;
}

function createCommand(context: Context): Command {
  return newRemoteCommand({
    name: "create",
    description: "Makes a token and prints it; it is not shown again.",
    examples: [
      "orchd token create",
      "orchd token create --uses 1 --expires 1h",
      "orchd token create --admin --expires never --description laptop",
      "orchd token create --scope repository:team/*:pull,push",
    ],
  })
    .name("create")
    .option("--admin", "for people, who may do everything, instead of for machines that join")
    .addOption(
      new Option(
        "--scope <scope>",
        "for images alone: repository:NAME:pull,push,delete; repeatable",
      )
        .argParser(addScope)
        .conflicts(["admin", "uses"]),
    )
    .option(
      "--expires <time>",
      "how long it lives, such as 1h or 30d, or never (default: 24h)",
      parseExpiry,
      EXPIRES_DEFAULT_MS,
    )
    .option("--uses <count>", "how many machines may join with it (default: any number)", parseUses)
    .option("--description <text>", "what it is for")
    .action(async (flags: CreateFlags) => {
      const client = await connect(context, flags);
      const { admin, scope, expires, uses, description } = flags;
      const made = await client.createToken({
        kind: scope !== undefined ? "registry" : admin === true ? "admin" : "join",
        ...(scope === undefined ? {} : { scopes: scope }),
        ...(expires === "never" ? {} : { expiresInMs: expires }),
        ...(uses === undefined ? {} : { usesMax: uses }),
        ...(description === undefined ? {} : { description }),
      });
      await printToken(context, made, flags);
    });
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists tokens, without what opens anything.",
    examples: ["orchd token ls"],
  })
    .name("ls")
    .action(async (options: RemoteOptions) => {
      context.exitCode = await showList(context, listing, options);
    });
}

function rotateCommand(context: Context): Command {
  return newRemoteCommand({
    name: "rotate",
    description: "Gives a token a new secret and prints it; the old one opens nothing any more.",
    examples: ["orchd token rotate k3n8pq2w7x4d"],
  })
    .name("rotate")
    .argument("<id>", "the token's id, as `orchd token ls` shows it")
    .action(async (id: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      await printToken(context, await client.rotateToken(id), options);
    });
}

function revokeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "revoke",
    description: "Ends a token at once. Machines that joined with it stay.",
    examples: ["orchd token revoke k3n8pq2w7x4d"],
  })
    .name("revoke")
    .argument("<id>", "the token's id, as `orchd token ls` shows it")
    .action(async (id: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      await client.revokeToken(id);
      if (options.json === true) return printJson(context.io, { revoked: id });
      await context.io.stderr.write(`${cleanText(id)} is revoked\n`);
    });
}

/** The token alone on standard output, so that a script can take it; what to do with it beside. */
async function printToken({ io }: Context, made: NewToken, { json }: RemoteOptions): Promise<void> {
  if (json === true) return printJson(io, made);
  await printLines(io, [cleanText(made.text)]);
  await io.stderr.write(`${adviceFor(made)}\n`);
}

function adviceFor({ token, servers }: NewToken): string {
  const [server] = servers;
  if (server === undefined) {
    return "The server listens on its socket alone: start it with --listen to use the token.";
  }
  if (token.kind === "registry") {
    return `It is not shown again. It is the password of any user at ${cleanText(server)}.`;
  }
  const command = token.kind === "join" ? "orchd join" : "orchd context add NAME";
  return `It is not shown again. Use it with \`${command} TOKEN@${cleanText(server)}\`.`;
}

const listing: Listing<TokenSummary> = {
  fetch: (client) => client.tokens(),
  empty: "There is no token: make one with `orchd token create`.",
  columns: (now) => [
    { title: "ID", cell: (token) => token.id },
    { title: "KIND", cell: (token) => token.kind },
    { title: "STATE", cell: (token) => STATE_TEXTS[token.state], color: colorOf },
    { title: "USES", cell: (token) => usesOf(token) },
    { title: "EXPIRES", cell: (token) => expiryOf(token, now) },
    { title: "AGE", cell: (token) => formatDuration(now - token.createdAt) },
    { title: "SCOPES", cell: (token) => scopesOf(token) },
    { title: "DESCRIPTION", cell: (token) => token.description },
  ],
};

function colorOf({ state }: TokenSummary): "green" | "red" {
  return state === "valid" ? "green" : "red";
}

function scopesOf({ scopes = [] }: TokenSummary): string {
  return scopes.length === 0 ? "-" : scopes.map(formatRegistryScope).join(" ");
}

function usesOf({ kind, uses, usesMax }: TokenSummary): string {
  if (kind !== "join") return "-";
  return usesMax === undefined ? String(uses) : `${uses}/${usesMax}`;
}

function expiryOf({ expiresAt }: TokenSummary, now: number): string {
  if (expiresAt === undefined) return "never";
  if (expiresAt <= now) return `${formatDuration(now - expiresAt)} ago`;
  return `in ${formatDuration(expiresAt - now)}`;
}

function parseExpiry(text: string): number | "never" {
  if (text === "never") return text;
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) {
    throw new InvalidArgumentError("Write it like 1h, 24h or 30d, or never.");
  }
  return ms;
}

function addScope(text: string, before: RegistryScope[] = []): RegistryScope[] {
  const parsed = parseRegistryScope(text);
  if (!parsed.ok) throw new InvalidArgumentError(parsed.problem);
  return [...before, parsed.value];
}

function parseUses(text: string): number {
  const count = parseCount(text);
  if (count === 0) throw new InvalidArgumentError("It must be at least 1.");
  return count;
}
