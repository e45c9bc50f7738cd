import { InvalidArgumentError, Option, type Command } from "commander";
import { formatBytes, formatDuration, plural } from "../../lib/text.ts";
import { ITEM_NAME_RULE, itemNameSchema, sizeProblem } from "../../model/item.ts";
import type { ItemKind, ItemSummary } from "../../model/item.ts";
import { collect, connect, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";
import { cleanText } from "../output/clean.ts";
import { readContent } from "../read-bytes.ts";

/** What secrets and configs have in common on the command line. */

interface CreateFlags extends RemoteOptions {
  label?: string[];
  templateDriver?: "golang";
}

export function createCommand(context: Context, kind: ItemKind): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "create",
    description: `Makes a ${kind} from a file or standard input; stacks use it as external.`,
    examples: [
      `orchd ${kind} create NAME FILE`,
      `printf %s "$VALUE" | orchd ${kind} create NAME -`,
    ],
  })
    .name("create")
    .argument("<name>", "what it is called", parseName)
    .argument("[file]", "its content; - is standard input", "-")
    .option("-l, --label <key=value>", "a label; can be given several times", collect)
    .addOption(
      new Option("--template-driver <name>", "fill it in for each task").choices(["golang"]),
    )
    .action(async (name: string, file: string, flags: CreateFlags) => {
      const labels = labelsFrom(flags.label ?? []);
      const bytes = await readContent(io, file);
      refuseSize(kind, bytes);
      const client = await connect(context, flags);
      const upload = await client.upload(bytes);
      const isTemplate = flags.templateDriver !== undefined;
      const made = await client.createItem(kind, { name, upload, labels, isTemplate });
      if (flags.json === true) return printJson(io, made);
      await printLines(io, [cleanText(made.id)]);
    });
}

export function updateCommand(context: Context, kind: ItemKind): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "update",
    description: `Gives a ${kind} a new content; services that use it get new tasks, in turns.`,
    examples: [`orchd ${kind} update NAME FILE`],
  })
    .name("update")
    .argument("<name>", `name or id of the ${kind}`)
    .argument("[file]", "its new content; - is standard input", "-")
    .action(async (name: string, file: string, options: RemoteOptions) => {
      const bytes = await readContent(io, file);
      refuseSize(kind, bytes);
      const client = await connect(context, options);
      const result = await client.updateItem(kind, name, await client.upload(bytes));
      if (options.json === true) return printJson(io, result);
      const { item, changed, services } = result;
      const version = changed ? `has version ${item.number} now` : "has this content already";
      const used = services.length === 0 ? "" : `: ${services.join(", ")} get new tasks`;
      await printLines(io, [cleanText(`${kind} ${item.name} ${version}${used}`)]);
    });
}

export function listCommand(context: Context, kind: ItemKind): Command {
  return newRemoteCommand({
    name: "ls",
    description: `Lists ${kind}s, without what they hold.`,
    examples: [`orchd ${kind} ls`],
  })
    .name("ls")
    .option(...WATCH_FLAG)
    .action(async (options: ListOptions) => {
      context.exitCode = await showList(context, listingOf(kind), options);
    });
}

export function removeCommand(context: Context, kind: ItemKind): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "rm",
    description: `Removes ${kind}s that no service uses.`,
    examples: [`orchd ${kind} rm NAME`],
  })
    .name("rm")
    .argument("<name...>", `names or ids of ${kind}s`)
    .action(async (names: string[], options: RemoteOptions) => {
      const client = await connect(context, options);
      for (const name of names) {
        await client.removeItem(kind, name);
        if (options.json !== true) await io.stderr.write(`${cleanText(name)} is removed\n`);
      }
      if (options.json === true) await printJson(io, { removed: names });
    });
}

/** @param now milliseconds since 1970 */
export function formatItemFacts(item: ItemSummary, now: number): string[] {
  const pairs = Object.entries(item.labels).map(([key, value]) => `${key}=${value}`);
  const versions = item.versions.map(({ number, at, sizeBytes }) => {
    return `${number} (${formatBytes(sizeBytes)}, ${formatDuration(now - at)} old)`;
  });
  const facts: [label: string, value: string][] = [
    ["id", item.id],
    ["stack", item.stack ?? "none"],
    ["version", String(item.number)],
    ["size", formatBytes(item.sizeBytes)],
    ["template", item.isTemplate ? "golang" : "no"],
    ["labels", pairs.length === 0 ? "none" : pairs.sort().join(", ")],
    ["used by", item.users.length === 0 ? "nobody" : item.users.join(", ")],
    ["kept versions", versions.join(", ")],
    ["age", formatDuration(now - item.createdAt)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  return facts.map(([label, value]) => `${label.padEnd(width)}  ${cleanText(value)}`);
}

function listingOf(kind: ItemKind): Listing<ItemSummary> {
  return {
    fetch: (client) => client.items(kind),
    empty: `There is no ${kind}: make one with \`orchd ${kind} create NAME FILE\`.`,
    columns: (now) => [
      { title: "NAME", cell: (item) => item.name },
      { title: "STACK", cell: (item) => item.stack ?? "-" },
      { title: "VERSION", cell: (item) => String(item.number) },
      { title: "SIZE", cell: (item) => formatBytes(item.sizeBytes) },
      { title: "UPDATED", cell: (item) => formatDuration(now - item.updatedAt) },
      { title: "USED BY", cell: (item) => usersText(item.users) },
    ],
  };
}

function usersText(users: readonly string[]): string {
  const [first] = users;
  if (first === undefined) return "-";
  return users.length === 1 ? first : plural(users.length, "service");
}

function refuseSize(kind: ItemKind, bytes: Uint8Array): void {
  const problem = sizeProblem(kind, bytes.length);
  if (problem !== undefined) throw usageError(problem);
}

function parseName(text: string): string {
  if (itemNameSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError(`A name ${ITEM_NAME_RULE}.`);
}

function labelsFrom(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value = ""] = /^([^=]+)(?:=([^]*))?$/.exec(pair) ?? [];
      if (key === undefined) throw usageError(`--label ${JSON.stringify(pair)} is not KEY=VALUE`);
      return [key, value];
    }),
  );
}
