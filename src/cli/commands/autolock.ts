import type { Command } from "commander";
import { formatDuration } from "../../lib/text.ts";
import type { VaultStatus } from "../../model/vault.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { readNewPassphrase } from "../passphrase.ts";

export function autolockCommand(context: Context): Command {
  return newCommand({
    name: "autolock",
    description:
      "Says what opens the secrets when the server starts: a key file beside its state, or with " +
      "autolock on a passphrase that a person types, as `orchd unlock`.",
    examples: ["orchd autolock status", "orchd autolock on", "orchd autolock off"],
  })
    .helpCommand(false)
    .addCommand(statusCommand(context))
    .addCommand(onCommand(context))
    .addCommand(offCommand(context))
    .addCommand(resetCommand(context));
}

function statusCommand(context: Context): Command {
  return newRemoteCommand({
    name: "status",
    description: "Shows whether secrets are locked now, and what opens them.",
    examples: ["orchd autolock status"],
  })
    .name("status")
    .action(async (options: RemoteOptions) => {
      const client = await connect(context, options);
      await tell(context, await client.vault(), options);
    });
}

function onCommand(context: Context): Command {
  return newRemoteCommand({
    name: "on",
    description:
      "Locks secrets at each start from now on, with a new passphrase: it is asked for twice, or " +
      "is the first line of standard input.",
    examples: ["orchd autolock on", "orchd autolock on < passphrase.txt"],
  })
    .name("on")
    .action(async (options: RemoteOptions) => {
      const passphrase = await readNewPassphrase(context.io);
      const client = await connect(context, options);
      await tell(context, await client.protect(passphrase), options);
    });
}

function offCommand(context: Context): Command {
  return newRemoteCommand({
    name: "off",
    description:
      "Lets a new key file beside the server's state open the secrets by itself, in place of the " +
      "passphrase or of the key file of before.",
    examples: ["orchd autolock off"],
  })
    .name("off")
    .action(async (options: RemoteOptions) => {
      const client = await connect(context, options);
      await tell(context, await client.protect(), options);
    });
}

function resetCommand(context: Context): Command {
  return newRemoteCommand({
    name: "reset",
    description:
      "Begins anew where the passphrase or key file is lost: all secrets and configs are gone. " +
      "Tasks that run keep theirs.",
    examples: ["orchd autolock reset --forget-secrets"],
  })
    .name("reset")
    .option("--forget-secrets", "yes, all of them")
    .action(async (options: RemoteOptions & { forgetSecrets?: boolean }) => {
      if (options.forgetSecrets !== true) {
        throw usageError("every secret and config would be lost: add --forget-secrets");
      }
      const client = await connect(context, options);
      await tell(context, await client.resetVault(), options);
    });
}

async function tell({ io }: Context, status: VaultStatus, { json }: RemoteOptions): Promise<void> {
  if (json === true) return printJson(io, status);
  const { state, reason, protectedBy, keyAt } = status;
  const by = protectedBy === "keyFile" ? "a key file" : "a passphrase";
  await printLines(io, [
    `autolock   ${protectedBy === "passphrase" ? "on" : "off"}: ${by} opens the secrets at a start`,
    `secrets    ${cleanText(reason === "" ? state : `${state}: ${reason}`)}`,
    `their key  ${formatDuration(io.clock.now() - keyAt)} old`,
  ]);
}
