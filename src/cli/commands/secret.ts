import type { Command } from "commander";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import {
  createCommand,
  formatItemFacts,
  listCommand,
  removeCommand,
  updateCommand,
} from "./item.ts";

export function secretCommand(context: Context): Command {
  return newCommand({
    name: "secret",
    description:
      "Keeps secrets for services: sealed on the server, sent only to nodes whose tasks use " +
      "them, and never shown again.",
    examples: [
      "orchd secret create db-password password.txt",
      "orchd secret ls",
      "orchd secret update db-password new.txt",
    ],
  })
    .helpCommand(false)
    .addCommand(createCommand(context, "secret"))
    .addCommand(listCommand(context, "secret"))
    .addCommand(inspectCommand(context))
    .addCommand(updateCommand(context, "secret"))
    .addCommand(removeCommand(context, "secret"))
    .addCommand(rotateKeyCommand(context));
}

function inspectCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "inspect",
    description: "Shows all of a secret but what it holds.",
    examples: ["orchd secret inspect db-password"],
  })
    .name("inspect")
    .argument("<name...>", "names or ids of secrets")
    .action(async (names: string[], options: RemoteOptions) => {
      const client = await connect(context, options);
      const items = [];
      for (const name of names) items.push(await client.item("secret", name));
      if (options.json === true) return printJson(io, items);
      const paint = paintFor(io);
      for (const [i, item] of items.entries()) {
        const title = paint("bold", cleanText(`secret ${item.name}`));
        const gap = i === 0 ? [] : [""];
        await printLines(io, [...gap, title, ...formatItemFacts(item, io.clock.now())]);
      }
    });
}

function rotateKeyCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "rotate-key",
    description: "Seals all secrets and configs on the server anew, with a key of their own.",
    examples: ["orchd secret rotate-key"],
  })
    .name("rotate-key")
    .action(async (options: RemoteOptions) => {
      const client = await connect(context, options);
      const status = await client.rotateSecretKey();
      if (options.json === true) return printJson(io, status);
      await io.stderr.write("all secrets and configs are sealed with a new key\n");
    });
}
