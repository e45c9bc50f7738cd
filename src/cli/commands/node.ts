import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { plural } from "../../lib/text.ts";
import type { NodeSummary } from "../../model/summary.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import { usageError, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import type { Window } from "../../model/window.ts";
import { addLinkWindow, LINK_WINDOW_HELP, rateFrom } from "../link-options.ts";
import { drainCommand } from "./node-drain.ts";
import { inspectCommand } from "./node-inspect.ts";

type Availability = NodeSummary["availability"];

const NODE = "a node's host name or id";

export function nodeCommand(context: Context): Command {
  return newCommand({
    name: "node",
    description: "Shows one node, and says what nodes are for.",
    examples: ["orchd node inspect h2", "orchd node drain h2", "orchd node label h2 zone=north"],
  })
    .helpCommand(false)
    .addCommand(inspectCommand(context))
    .addCommand(drainCommand(context))
    .addCommand(
      availabilityCommand(context, {
        name: "pause",
        availability: "pause",
        description: "Gives nodes no new tasks; what they have stays.",
        told: "is paused: it gets no new task",
      }),
    )
    .addCommand(
      availabilityCommand(context, {
        name: "activate",
        availability: "active",
        description: "Gives nodes tasks again, after a drain or pause.",
        told: "is active: it takes tasks",
      }),
    )
    .addCommand(labelCommand(context))
    .addCommand(linkCommand(context))
    .addCommand(removeCommand(context));
}

interface AvailabilityText {
  name: string;
  availability: Availability;
  description: string;
  /** What is said of each node then. */
  told: string;
}

function availabilityCommand(context: Context, text: AvailabilityText): Command {
  const { name, availability, description, told } = text;
  return newRemoteCommand({ name, description, examples: [`orchd node ${name} h2`] })
    .name(name)
    .argument("<node...>", NODE)
    .action((nodes: string[], options: RemoteOptions) =>
      changeNodes(context, nodes, options, told, (client, node) =>
        client.setAvailability(node, availability),
      ),
    );
}

function labelCommand(context: Context): Command {
  return newRemoteCommand({
    name: "label",
    description: "Sets labels of a node, and removes those whose key ends with a minus.",
    examples: ["orchd node label h2 zone=north disk=ssd", "orchd node label h2 zone-"],
  })
    .name("label")
    .argument("<node>", NODE)
    .argument("<labels...>", "key=value, or key- to remove it")
    .action((node: string, pairs: string[], options: RemoteOptions) => {
      const change = parseLabels(pairs);
      return changeNodes(context, [node], options, "has its labels", (client, name) =>
        client.setLabels(name, change),
      );
    });
}

interface LinkFlags extends RemoteOptions {
  limit?: number | "none";
  window?: Window[];
}

function linkCommand(context: Context): Command {
  return newRemoteCommand({
    name: "link",
    description:
      "Says how images may use a node's link to other machines, where it is slow or costs money: " +
      "how fast, and when those come that no task there needs yet. What is not named stays.",
    examples: [
      "orchd node link h2 --limit 2MiB/s --window 22:00-06:00",
      "orchd node link h2 --limit none --window any",
    ],
  })
    .name("link")
    .argument("<node>", NODE)
    .option("--limit <rate>", "at most, each way, such as 2MiB/s or 10Mbit/s; or none", limitFrom)
    .option("--window <times>", LINK_WINDOW_HELP, addLinkWindow)
    .action((node: string, options: LinkFlags) => {
      const { limit, window: windows } = options;
      if (limit === undefined && windows === undefined) {
        throw usageError("say what its link may be used for, with --limit or --window");
      }
      const change = { bytesPerSecond: limit === "none" ? null : limit, windows };
      return changeNodes(context, [node], options, "has its link", (client, name) =>
        client.setLink(name, change),
      );
    });
}

function limitFrom(text: string): number | "none" {
  return text === "none" ? text : rateFrom(text);
}

function removeCommand(context: Context): Command {
  return newRemoteCommand({
    name: "rm",
    description:
      "Removes nodes from the cluster. What they hold is lost, and started elsewhere; a node " +
      "that is there is to be drained first.",
    examples: ["orchd node rm h2", "orchd node rm h2 --force"],
  })
    .name("rm")
    .argument("<node...>", NODE)
    .option("--force", "also while the node is there and holds tasks")
    .action(async (nodes: string[], options: RemoteOptions & { force?: boolean }) => {
      const client = await connect(context, options);
      for (const node of nodes) {
        await client.removeNode(node, { force: options.force === true });
        if (options.json !== true) {
          await printLines(context.io, [cleanText(`node ${node} is removed`)]);
        }
      }
      if (options.json === true) await printJson(context.io, nodes);
    });
}

/** Changes each node in turn; the first that can't be changed ends it. */
async function changeNodes(
  context: Context,
  names: readonly string[],
  options: RemoteOptions,
  told: string,
  change: (client: ApiClient, node: string) => Promise<NodeSummary>,
): Promise<void> {
  const client = await connect(context, options);
  const nodes: NodeSummary[] = [];
  for (const name of names) {
    const node = await change(client, name);
    nodes.push(node);
    if (options.json === true) continue;
    const holds = node.tasks === 0 ? "it holds no task" : `it holds ${plural(node.tasks, "task")}`;
    await printLines(context.io, [cleanText(`node ${node.hostname} ${told}; ${holds}`)]);
  }
  if (options.json === true) await printJson(context.io, nodes);
}

/** `["a=1", "b-"]` as what to set and what to remove; throws on anything else. */
export function parseLabels(pairs: readonly string[]): {
  set: Record<string, string>;
  remove: string[];
} {
  const set = new Map<string, string>();
  const remove: string[] = [];
  for (const pair of pairs) {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    const [, removed] = /^([^=]+)-$/.exec(pair) ?? [];
    const name = key ?? removed;
    if (name === undefined) {
      const forms = "write KEY=VALUE to set it, or KEY- to remove it";
      throw usageError(`${JSON.stringify(pair)} says nothing of a label: ${forms}`);
    }
    if (set.has(name) || remove.includes(name)) throw usageError(`${name} is named twice`);
    if (key === undefined || value === undefined) remove.push(name);
    else set.set(key, value);
  }
  return { set: Object.fromEntries(set), remove };
}
