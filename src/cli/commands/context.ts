import type { Command } from "commander";
import { cleanText } from "../output/clean.ts";
import { newCommand, printJson, printLines, usageError, type Context } from "../context.ts";
import { LOCAL, unknownContext } from "../contexts/choose-server.ts";
import {
  contextsPathOf,
  readContexts,
  writeContexts,
  type Contexts,
} from "../contexts/contexts-file.ts";
import { addContext, type AddFlags } from "../contexts/add-context.ts";
import { paintFor } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

interface JsonFlag {
  json?: boolean;
}

/** A context as it may be shown: without its token. */
interface Shown {
  name: string;
  /** Absent for this machine's own socket. */
  server?: string;
  selected: boolean;
}

export function contextCommand(context: Context): Command {
  return newCommand({
    name: "context",
    description:
      "Keeps servers on other machines by name, so that every command can be typed here. The " +
      `context ${LOCAL} is this machine's own socket.`,
    examples: [
      "orchd context add hall --server 10.0.0.5:6770 --token -",
      "orchd context use hall",
      "orchd ps --context hall",
      "orchd context use local",
    ],
  })
    .helpCommand(false)
    .addCommand(addCommand(context))
    .addCommand(listCommand(context))
    .addCommand(useCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(showCommand(context));
}

function addCommand(context: Context): Command {
  return newCommand({
    name: "add",
    description: "Keeps a server under a name, once it has proved itself and taken the token.",
    examples: [
      "orchd context add hall --server 10.0.0.5:6770 --token -",
      "orchd context add hall ORCHD-1-…@10.0.0.5:6770 --use",
    ],
  })
    .name("add")
    .argument("<name>", "what the context is called")
    .argument("[token]", "TOKEN[@HOST:PORT], instead of the options")
    .option("--server <host:port>", "address of the server")
    .option("--token <token>", "an admin token; - reads it (default: ORCHD_TOKEN)")
    .option("--use", "select it as well")
    .option("--replace", "take the place of a context of that name")
    .option("--json", "print JSON")
    .action(async (name: string, word: string | undefined, flags: AddFlags & JsonFlag) => {
      const { io } = context;
      const { server, isSelected } = await addContext(io, name, word, flags);
      if (flags.json === true) return printJson(io, { name, server, selected: isSelected });
      const next = isSelected
        ? "is selected"
        : `is there: select it with \`orchd context use ${name}\``;
      await io.stderr.write(`context ${name} for ${cleanText(server)} ${next}\n`);
    });
}

function listCommand({ io }: Context): Command {
  return newCommand({
    name: "ls",
    description: "Lists contexts; the one that commands use is marked.",
    examples: ["orchd context ls"],
  })
    .name("ls")
    .option("--json", "print JSON")
    .action(async ({ json }: JsonFlag) => {
      const shown = listOf(readContexts(contextsPathOf(io.env)));
      if (json === true) return printJson(io, shown);
      const columns = [
        { title: "", cell: (row: Shown) => (row.selected ? "*" : "") },
        { title: "NAME", cell: (row: Shown) => row.name },
        { title: "SERVER", cell: (row: Shown) => row.server ?? "the socket of this machine" },
      ];
      await printLines(io, formatTable(columns, shown, paintFor(io)));
    });
}

function useCommand({ io }: Context): Command {
  return newCommand({
    name: "use",
    description: "Selects the context of commands that name none.",
    examples: ["orchd context use hall", "orchd context use local"],
  })
    .name("use")
    .argument("<name>", "a context, or local")
    .action(async (name: string) => {
      const { path, kept } = openContexts(io.env);
      const { selected: _before, ...others } = kept;
      if (name !== LOCAL) refuseUnknown(kept, name);
      writeContexts(path, name === LOCAL ? others : { ...others, selected: name });
      await io.stderr.write(`commands use context ${cleanText(name)} from now on\n`);
    });
}

function removeCommand({ io }: Context): Command {
  return newCommand({
    name: "rm",
    description: "Forgets a context and its token; on the server the token goes on to be valid.",
    examples: ["orchd context rm hall"],
  })
    .name("rm")
    .argument("<name>", "a context")
    .action(async (name: string) => {
      const { path, kept } = openContexts(io.env);
      if (name === LOCAL) throw usageError("local is always there: it is this machine's socket");
      refuseUnknown(kept, name);
      const { [name]: _gone, ...contexts } = kept.contexts;
      const wasSelected = kept.selected === name;
      const { selected, ...rest } = kept;
      const isKept = selected !== undefined && !wasSelected;
      writeContexts(path, { ...rest, contexts, ...(isKept ? { selected } : {}) });
      const next = wasSelected ? ": commands use the socket of this machine from now on" : "";
      await io.stderr.write(`context ${cleanText(name)} is forgotten${next}\n`);
    });
}

function showCommand({ io }: Context): Command {
  return newCommand({
    name: "show",
    description: "Shows a context, or the selected one, without its token.",
    examples: ["orchd context show", "orchd context show hall --json"],
  })
    .name("show")
    .argument("[name]", "a context")
    .option("--json", "print JSON")
    .action(async (word: string | undefined, { json }: JsonFlag) => {
      const kept = readContexts(contextsPathOf(io.env));
      const name = word ?? kept.selected ?? LOCAL;
      const shown = listOf(kept).find((each) => each.name === name);
      if (shown === undefined) throw unknownContext(name);
      const { digestOfCa } = await import("../../api/client-ca.ts");
      const ca = kept.contexts[name]?.caCertificate;
      const caDigest = ca === undefined ? undefined : digestOfCa(ca);
      if (json === true) return printJson(io, { ...shown, caDigest });
      const lines = [
        `name      ${cleanText(name)}`,
        `server    ${cleanText(shown.server ?? "the socket of this machine")}`,
        ...(caDigest === undefined ? [] : [`authority ${caDigest}`]),
        `selected  ${shown.selected ? "yes" : "no"}`,
      ];
      await printLines(io, lines);
    });
}

function openContexts(env: Context["io"]["env"]): { path: string; kept: Contexts } {
  const path = contextsPathOf(env);
  if (path !== undefined) return { path, kept: readContexts(path) };
  throw usageError("there is no place for contexts: set HOME, or XDG_CONFIG_HOME");
}

function refuseUnknown({ contexts }: Contexts, name: string): void {
  if (!Object.hasOwn(contexts, name)) throw unknownContext(name);
}

function listOf({ selected, contexts }: Contexts): Shown[] {
  const names = Object.keys(contexts).sort();
  return [
    { name: LOCAL, selected: selected === undefined },
    ...names.map((name) => {
      const { server = "" } = contexts[name] ?? {};
      return { name, server, selected: name === selected };
    }),
  ];
}
