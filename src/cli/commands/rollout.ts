import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { plural } from "../../lib/text.ts";
import type { RolloutOrder, RolloutSummary } from "../../model/summary.ts";
import { connect, newCommand, newRemoteCommand, parseCount, printJson } from "../context.ts";
import { printLines, timeoutOption, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { followServices, type WaitOptions } from "../follow/follow-services.ts";
import { cleanText } from "../output/clean.ts";
import { serviceNamed } from "../name-service.ts";
import { historyCommand } from "./rollout-history.ts";
import { undoStack } from "./undo-stack.ts";

type OrderOptions = RemoteOptions & WaitOptions & { unlock?: boolean; to?: number; stack?: string };

const SERVICE = "`stack/service`, or `service` where only one stack has it";

export function rolloutCommand(context: Context): Command {
  return newCommand({
    name: "rollout",
    description: "Shows and steers how services go from one revision to the next, and back.",
    examples: ["orchd rollout status web", "orchd rollout undo web", "orchd rollout promote web"],
  })
    .helpCommand(false)
    .addCommand(statusCommand(context))
    .addCommand(historyCommand(context))
    .addCommand(pauseCommand(context))
    .addCommand(resumeCommand(context))
    .addCommand(promoteCommand(context))
    .addCommand(undoCommand(context));
}

function statusCommand(context: Context): Command {
  return newRemoteCommand({
    name: "status",
    description: "Shows how far a service's rollout is, and what it waits for.",
    examples: ["orchd rollout status web"],
  })
    .name("status")
    .argument("<service>", SERVICE)
    .action(async (target: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      const { stack, service } = await serviceNamed(client, target);
      await printStatus(context, await client.rollout(stack, service), options);
    });
}

function pauseCommand(context: Context): Command {
  return newRemoteCommand({
    name: "pause",
    description: "Lets no further slot of a service begin; what has begun goes on.",
    examples: ["orchd rollout pause web"],
  })
    .name("pause")
    .argument("<service>", SERVICE)
    .action(async (target: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      const { stack, service } = await serviceNamed(client, target);
      const rollout = await client.orderRollout(stack, service, { type: "pause" });
      await printStatus(context, rollout, options);
    });
}

function resumeCommand(context: Context): Command {
  return orderCommand(context, {
    name: "resume",
    description: "Lets a paused rollout go on, in spite of what failed.",
    examples: ["orchd rollout resume web", "orchd rollout resume --unlock web"],
    order: ({ unlock }) => ({ type: "resume", unlock: unlock === true }),
  }).option("--unlock", "also where the service's file locks its rollout");
}

function promoteCommand(context: Context): Command {
  return orderCommand(context, {
    name: "promote",
    description: "Finds a rollout's canaries good: the other slots follow.",
    examples: ["orchd rollout promote web"],
    order: () => ({ type: "promote" }),
  });
}

function undoCommand(context: Context): Command {
  return newRemoteCommand({
    name: "undo",
    description:
      "Takes a service back to an older revision, or a whole stack to what an earlier `up` made " +
      "of it. Undoing twice goes forward again.",
    examples: [
      "orchd rollout undo web",
      "orchd rollout undo web --to 3",
      "orchd rollout undo --stack shop",
    ],
  })
    .name("undo")
    .argument("[service]", SERVICE)
    .option(
      "--to <number>",
      "the revision, or the set of a stack, as `history` lists them",
      parseCount,
    )
    .option("--stack <stack>", "the whole stack in place of one service")
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (target: string | undefined, options: OrderOptions) => {
      if ((target === undefined) === (options.stack === undefined)) {
        throw usageError("name a service, or a stack with --stack");
      }
      if (options.to === 0) throw usageError("revisions and sets are counted from 1");
      const client = await connect(context, options);
      if (options.stack !== undefined) {
        context.exitCode = await undoStack(context, client, options.stack, options);
        return;
      }
      const { to } = options;
      const order: RolloutOrder = { type: "undo", ...(to === undefined ? {} : { to }) };
      context.exitCode = await give(context, client, target ?? "", order, options);
    });
}

interface OrderText {
  name: string;
  description: string;
  examples: string[];
  order: (options: OrderOptions) => RolloutOrder;
}

function orderCommand(context: Context, text: OrderText): Command {
  const { name, order } = text;
  return newRemoteCommand(text)
    .name(name)
    .argument("<service>", SERVICE)
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (target: string, options: OrderOptions) => {
      const client = await connect(context, options);
      context.exitCode = await give(context, client, target, order(options), options);
    });
}

/** Gives the order, and waits for what comes of it. */
async function give(
  context: Context,
  client: ApiClient,
  target: string,
  order: RolloutOrder,
  options: OrderOptions,
): Promise<number> {
  const { stack, service } = await serviceNamed(client, target);
  await client.orderRollout(stack, service, order);
  const services = await client.services(stack);
  const changed = services.filter(({ name }) => name === service);
  return followServices(context, client, changed, options);
}

async function printStatus(
  { io }: Context,
  rollout: RolloutSummary,
  { json }: RemoteOptions,
): Promise<void> {
  if (json === true) return printJson(io, rollout);
  await printLines(io, formatStatus(rollout).map(cleanText));
}

function formatStatus(rollout: RolloutSummary): string[] {
  const { stack, name, state, revision, from, to, slots, done, message } = rollout;
  const head = `${stack}/${name} is at revision ${revision}`;
  if (state === "none") return [`${head}, and nothing was ever rolled out over another one`];
  const lists = [
    listOf("failed", rollout.failed),
    listOf("wait for their node", rollout.deferred),
    listOf("stay at an older revision for now", rollout.held),
    listOf("go first", rollout.canaries),
  ];
  return [
    `${head}: rollout from ${from} to ${to} is ${state}, ${done} of ${plural(slots, "slot")} done`,
    ...(message === "" ? [] : [message]),
    ...lists.flat(),
  ];
}

function listOf(what: string, slots: readonly string[]): string[] {
  return slots.length === 0 ? [] : [`${plural(slots.length, "slot")} ${what}: ${slots.join(", ")}`];
}
