import { InvalidArgumentError, type Command } from "commander";
import { connect, newCommand, newRemoteCommand, parseCount, printJson } from "../context.ts";
import { printLines, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import {
  createCommand,
  formatItemFacts,
  listCommand,
  removeCommand,
  updateCommand,
} from "./item.ts";

export function configCommand(context: Context): Command {
  return newCommand({
    name: "config",
    description: "Keeps configuration files for services, which get new tasks when one changes.",
    examples: [
      "orchd config create nginx nginx.conf",
      "orchd config ls",
      "orchd config inspect nginx",
    ],
  })
    .helpCommand(false)
    .addCommand(createCommand(context, "config"))
    .addCommand(listCommand(context, "config"))
    .addCommand(inspectCommand(context))
    .addCommand(updateCommand(context, "config"))
    .addCommand(removeCommand(context, "config"));
}

interface InspectFlags extends RemoteOptions {
  revision?: number;
}

function inspectCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "inspect",
    description: "Shows a config and what it holds.",
    examples: ["orchd config inspect nginx", "orchd config inspect nginx --revision 1"],
  })
    .name("inspect")
    .argument("<name>", "name or id of the config")
    .option("--revision <number>", "what this version holds (default: the newest)", parseVersion)
    .action(async (name: string, flags: InspectFlags) => {
      const client = await connect(context, flags);
      const item = await client.item("config", name);
      const bytes = await client.configContent(name, flags.revision);
      if (flags.json === true) {
        return printJson(io, { ...item, content: Buffer.from(bytes).toString("base64") });
      }
      const title = paintFor(io)("bold", cleanText(`config ${item.name}`));
      const facts = formatItemFacts(item, io.clock.now());
      await printLines(io, [title, ...facts, "", ...contentLines(bytes)]);
    });
}

/** Text as it is, but for what a terminal would act on; of bytes only how many there are. */
function contentLines(bytes: Uint8Array): string[] {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.replace(/\n$/, "").split("\n").map(cleanText);
  } catch {
    // Bytes that are no text: --json has them.
    return [`(${bytes.length} bytes that are not text: --json shows them in base 64)`];
  }
}

function parseVersion(text: string): number {
  const number = parseCount(text);
  if (number === 0) throw new InvalidArgumentError("Versions are counted from 1.");
  return number;
}
