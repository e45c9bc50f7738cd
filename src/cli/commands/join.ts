import type { Command } from "commander";
import { collect, newCommand, usageError, type Context } from "../context.ts";
import type { Io } from "../io.ts";
import { addLinkWindow, LINK_WINDOW_HELP, rateFrom } from "../link-options.ts";
import { changeLink, type NodeLink } from "../../model/link.ts";
import type { Window } from "../../model/window.ts";
import { nodeFrom, type NodeFlags, nodeOptions } from "../node-options.ts";

interface JoinFlags extends NodeFlags {
  name?: string;
  label?: string[];
  linkLimit?: number;
  linkWindow?: Window[];
}

export function joinCommand(context: Context): Command {
  const { io } = context;
  const command = newCommand({
    name: "join",
    description:
      "Makes this machine a node of a cluster, and runs its agent. Without an address it looks " +
      "for the cluster on the local network; after the first start it needs no token any more.",
    examples: [
      "orchd join ORCHD-1-…@10.0.0.5:6770 --label zone=hall",
      "orchd join ORCHD-1-…",
      "orchd join",
    ],
  })
    .argument("[token...]", "TOKEN[@HOST:PORT], with further addresses as words; - reads it")
    .option("--name <name>", "name of the node (default: the host name)")
    .option("--label <key=value>", "label of the node; can be given several times", collect)
    .option("--link-limit <rate>", "what images take of its link at most, such as 2MiB/s", rateFrom)
    .option("--link-window <times>", LINK_WINDOW_HELP, addLinkWindow)
    .action(async (words: string[], flags: JoinFlags) => {
      const { token, servers } = parseWords(await readWords(io, words));
      context.exitCode = await context.program.startAgent({
        ...nodeFrom(io, flags),
        token,
        servers,
        labels: parseLabels(flags.label ?? []),
        ...linkFrom(flags),
        name: flags.name,
        gossipPort: flags.gossipPort,
        ...(flags.gossipPreset && { gossipPreset: flags.gossipPreset }),
      });
    });
  for (const option of nodeOptions(io)) command.addOption(option);
  return command;
}

/** A token on the command line shows in process lists; `-` and the environment do not. */
async function readWords(io: Io, words: string[]): Promise<string[]> {
  if (words.length === 0) return io.env["ORCHD_TOKEN"]?.split(/\s+/).filter(Boolean) ?? [];
  if (words.length !== 1 || words[0] !== "-") return words;
  if (io.stdin.isTerminal) throw usageError("standard input is a terminal: pipe the token into it");
  const text = await new Response(io.stdin.read()).text();
  return text.split(/\s+/).filter(Boolean);
}

/**
 * `TOKEN@HOST:PORT`, and further words that are addresses. A token that came in pieces, as after a
 * line break in a mail, is put together again; whether it is one is for the agent to say.
 */
function parseWords(words: readonly string[]): { token: string | undefined; servers: string[] } {
  const isAddress = (word: string) => /^[^@]*[.:][^@]*$/.test(word) && !/^orchd-/i.test(word);
  const pieces = words.filter((word) => !isAddress(word)).map((word) => word.split("@", 2));
  const servers = pieces.flatMap(([, server]) => server?.split(",") ?? []);
  const token = pieces.map(([piece = ""]) => piece).join("");
  return {
    token: token === "" ? undefined : token,
    servers: [...servers, ...words.filter(isAddress)],
  };
}

function linkFrom({ linkLimit, linkWindow }: JoinFlags): { link?: NodeLink } {
  const link = changeLink(undefined, { bytesPerSecond: linkLimit, windows: linkWindow });
  return link === undefined ? {} : { link };
}

function parseLabels(labels: readonly string[]): Record<string, string> {
  const pairs = labels.map((label): [string, string] => {
    const at = label.indexOf("=");
    if (at <= 0) throw usageError(`--label ${label} must be written like zone=hall`);
    return [label.slice(0, at), label.slice(at + 1)];
  });
  return Object.fromEntries(pairs);
}
