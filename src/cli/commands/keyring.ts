import type { Command } from "commander";
import { gossipKeySchema } from "../../model/cluster.ts";
import type { KeySummary } from "../../model/keyring.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import type { Io } from "../io.ts";
import { showList, type Listing } from "../list.ts";
import { cleanText } from "../output/clean.ts";

export function keyringCommand(context: Context): Command {
  return newCommand({
    name: "keyring",
    description:
      "Keeps the keys that encrypt gossip. To rotate: install a key, use it once every node is " +
      "connected, and remove the old one.",
    examples: [
      "orchd keyring ls",
      "orchd keyring install",
      "orchd keyring use k3n8pq2w7x4d",
      "orchd keyring remove 9vt2m0c5h1zz",
      "orchd keyring show",
    ],
  })
    .helpCommand(false)
    .addCommand(listCommand(context))
    .addCommand(installCommand(context))
    .addCommand(useCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(showCommand(context));
}

function listCommand(context: Context): Command {
  return newRemoteCommand({
    name: "ls",
    description: "Lists the keys by their fingerprints, the primary one first.",
    examples: ["orchd keyring ls", "orchd keyring ls --show"],
  })
    .name("ls")
    .option("--show", "print the keys as well, which open all gossip")
    .action(async (options: RemoteOptions & { show?: boolean }) => {
      context.exitCode = await showList(context, listingOf(options.show === true), options);
    });
}

function installCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "install",
    description: "Lets all nodes understand one more key; none uses it before `keyring use`.",
    examples: ["orchd keyring install", "serf keygen | orchd keyring install -"],
  })
    .name("install")
    .argument("[key]", "32 bytes in base 64; - reads it (default: a random one)")
    .action(async (word: string | undefined, options: RemoteOptions) => {
      const key = await readKey(io, word);
      const client = await connect(context, options);
      const { fingerprint } = await client.installKey(key);
      if (options.json === true) return printJson(io, { fingerprint });
      await printLines(io, [cleanText(fingerprint)]);
      await io.stderr.write(
        `Every node that is connected has it. Use it with \`orchd keyring use ${fingerprint}\`.\n`,
      );
    });
}

function useCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "use",
    description: "Makes a key the primary one: from then on it encrypts.",
    examples: ["orchd keyring use k3n8pq2w7x4d"],
  })
    .name("use")
    .argument("<key>", "its fingerprint, as `orchd keyring ls` shows it, or the key itself")
    .action(async (word: string, options: RemoteOptions) => {
      const fingerprint = await fingerprintFrom(word);
      const client = await connect(context, options);
      await client.useKey(fingerprint);
      if (options.json === true) return printJson(io, { primary: fingerprint });
      await io.stderr.write(`${fingerprint} encrypts gossip from now on\n`);
    });
}

function removeCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "remove",
    description: "Removes a key that is not the primary one: nobody understands it any more.",
    examples: ["orchd keyring remove 9vt2m0c5h1zz"],
  })
    .name("remove")
    .argument("<key>", "its fingerprint, as `orchd keyring ls` shows it, or the key itself")
    .action(async (word: string, options: RemoteOptions) => {
      const fingerprint = await fingerprintFrom(word);
      const client = await connect(context, options);
      await client.removeKey(fingerprint);
      if (options.json === true) return printJson(io, { removed: fingerprint });
      await io.stderr.write(`${fingerprint} is removed\n`);
    });
}

function showCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "show",
    description:
      "Prints the primary key in base 64, for a serf agent of somebody else. Whoever has it can " +
      "read and send gossip.",
    examples: ["orchd keyring show"],
  })
    .name("show")
    .action(async (options: RemoteOptions) => {
      const client = await connect(context, options);
      const primary = (await client.keyring(true)).find((each) => each.primary);
      if (options.json === true) return printJson(io, primary);
      await printLines(io, [cleanText(primary?.key ?? "")]);
    });
}

/** A key on the command line shows in process lists; `-` does not. */
async function readKey(io: Io, word: string | undefined): Promise<string | undefined> {
  if (word === undefined) return undefined;
  if (word === "-" && io.stdin.isTerminal) {
    throw usageError("standard input is a terminal: pipe the key into it");
  }
  const text = word === "-" ? (await new Response(io.stdin.read()).text()).trim() : word;
  if (gossipKeySchema.safeParse(text).success) return text;
  throw usageError("a gossip key is 32 bytes in base 64, as `serf keygen` prints them");
}

async function fingerprintFrom(word: string): Promise<string> {
  const { fingerprintFromWord } = await import("../../api/client-keyring.ts");
  const fingerprint = fingerprintFromWord(word);
  if (fingerprint !== undefined) return fingerprint;
  throw usageError("this names no gossip key: `orchd keyring ls` lists their fingerprints");
}

function listingOf(show: boolean): Listing<KeySummary> {
  return {
    fetch: (client) => client.keyring(show),
    empty: "There is no gossip key.",
    columns: () => [
      { title: "FINGERPRINT", cell: (key) => key.fingerprint },
      { title: "PRIMARY", cell: (key) => (key.primary ? "yes" : "") },
      ...(show ? [{ title: "KEY", cell: ({ key = "" }: KeySummary) => key }] : []),
    ],
  };
}
