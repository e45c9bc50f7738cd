import type { Command } from "commander";
import { connect, newRemoteCommand, printJson } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { readPassphrase } from "../passphrase.ts";

export function unlockCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "unlock",
    description:
      "Opens the secrets of a server that started locked. The passphrase is asked for, or is the " +
      "first line of standard input.",
    examples: ["orchd unlock", "orchd unlock < passphrase.txt"],
  }).action(async (options: RemoteOptions) => {
    const client = await connect(context, options);
    let status = await client.vault();
    const wasLocked = status.state === "locked";
    if (wasLocked) {
      const asks = status.protectedBy === "passphrase";
      const passphrase = asks ? await readPassphrase(io, "Passphrase: ") : undefined;
      status = await client.unlock(passphrase);
    }
    if (options.json === true) return printJson(io, status);
    await io.stderr.write(wasLocked ? "secrets are unlocked\n" : "secrets are not locked\n");
  });
}
