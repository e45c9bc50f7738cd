import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { EXIT_CODES } from "../follow/conclude.ts";
import { formatDuration, plural } from "../../lib/text.ts";
import type { NodeSummary } from "../../model/summary.ts";
import { connect, newRemoteCommand, printJson, printLines, timeArgument } from "../context.ts";
import { timeoutOption, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";

const LOOK_MS = 500;

interface DrainOptions extends RemoteOptions {
  deadline?: number;
  wait?: boolean;
  timeout: number;
}

export function drainCommand(context: Context): Command {
  return newRemoteCommand({
    name: "drain",
    description:
      "Moves the tasks of nodes away, and gives them no new ones. Each service moves as its " +
      "x-orchd.drain or update_config says, so that what serves is replaced before it ends.",
    examples: ["orchd node drain h2", "orchd node drain h2 --deadline 30m --wait"],
  })
    .name("drain")
    .argument("<node...>", "a node's host name or id")
    .option(
      "--deadline <time>",
      "end what nothing has replaced by then, such as 30m; without it, it stays until it can move",
      timeArgument,
    )
    .option("--wait", "return when the nodes are empty")
    .addOption(timeoutOption())
    .action((nodes: string[], options: DrainOptions) => drain(context, nodes, options));
}

async function drain(context: Context, names: string[], options: DrainOptions): Promise<void> {
  const client = await connect(context, options);
  const drained: NodeSummary[] = [];
  for (const name of names) {
    const node = await client.setAvailability(name, "drain", options.deadline);
    drained.push(node);
    if (options.json !== true) await printLines(context.io, [cleanText(tell(node, options))]);
  }
  if (options.wait === true) await waitUntilEmpty(context, client, drained, options);
  else if (options.json === true) await printJson(context.io, drained);
}

function tell({ hostname, tasks }: NodeSummary, { deadline }: DrainOptions): string {
  const holds = tasks === 0 ? "it holds no task" : `it holds ${plural(tasks, "task")}`;
  const until = deadline === undefined ? "" : `, all within ${formatDuration(deadline)}`;
  return `node ${hostname} is drained: its tasks move away${until}; ${holds}`;
}

/** Tells each change of what is left, until nothing is or the time is over. */
async function waitUntilEmpty(
  context: Context,
  client: ApiClient,
  nodes: readonly NodeSummary[],
  options: DrainOptions,
): Promise<void> {
  const { io } = context;
  const end = io.clock.now() + options.timeout;
  let told = "";
  for (;;) {
    const now = await Promise.all(nodes.map(({ id }) => client.node(id)));
    const left = now.filter(({ tasks }) => tasks > 0);
    const texts = left.map(({ hostname, tasks }) => `${hostname} holds ${plural(tasks, "task")}`);
    const text = left.length === 0 ? "nothing is left" : texts.join("; ");
    if (text !== told && options.json !== true) await printLines(io, [cleanText(text)]);
    told = text;
    if (left.length === 0 || io.clock.now() >= end) {
      if (options.json === true) await printJson(io, now);
      if (left.length > 0) context.exitCode = EXIT_CODES.timedOut;
      return;
    }
    await new Promise<void>((resolve) => io.clock.after(LOOK_MS, resolve));
  }
}
