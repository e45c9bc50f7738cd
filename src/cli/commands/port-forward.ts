import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { TaskSummary } from "../../model/summary.ts";
import { isFit } from "../../model/task.ts";
import { connect, newCommand, printLines, usageError, withConnection } from "../context.ts";
import type { Context } from "../context.ts";
import type { ConnectionOptions } from "../contexts/choose-server.ts";
import { listenLocally, type LocalListener } from "../forward/listen-local.ts";
import { parsePortPair, type PortPair } from "../forward/port-pairs.ts";
import { cleanText } from "../output/clean.ts";

export function portForwardCommand(context: Context): Command {
  return withConnection(
    newCommand({
      name: "port-forward",
      description:
        "Leads ports of this machine, on 127.0.0.1, to TCP ports of a task, whether it publishes " +
        "them or not, until Ctrl-C.",
      examples: [
        "orchd port-forward shop/web.1 8080:80",
        "orchd port-forward shop/db 5432",
        "orchd port-forward shop/web :80",
      ],
    }),
  )
    .argument("<target>", "a task, or a service: then one of its tasks that is ready")
    .argument(
      "<ports...>",
      "[LOCAL:]PORT; LOCAL is the same port where it is left out, and a free one where it is empty",
    )
    .action(async (target: string, ports: string[], options: ConnectionOptions) => {
      await portForward(context, target, ports.map(parsePortPair), options);
    });
}

async function portForward(
  context: Context,
  target: string,
  pairs: readonly PortPair[],
  options: ConnectionOptions,
): Promise<void> {
  const { io } = context;
  const client = await connect(context, options);
  const task = await findTask(client, target);
  const interrupted = Promise.withResolvers<void>();
  const stopListening = io.onInterrupt(() => interrupted.resolve());
  const listeners: LocalListener[] = [];
  const onProblem = (message: string) => void io.stderr.write(`${cleanText(message)}\n`);
  try {
    for (const { local, remote } of pairs) {
      const open = () => client.forward(task.id, remote);
      const listener = await listenLocally(local, open, onProblem);
      listeners.push(listener);
      const here = `127.0.0.1:${listener.port}`;
      await printLines(io, [`Forwarding ${here} -> ${cleanText(task.name)}:${remote}`]);
    }
    await interrupted.promise;
  } finally {
    stopListening();
    for (const listener of listeners) listener.close();
  }
}

/** The task that is meant: of a service one that is ready, or else one that runs. */
async function findTask(client: ApiClient, target: string): Promise<{ id: string; name: string }> {
  const { kind, id, name, stack, service } = await client.resolve(target);
  if (kind === "task") return { id, name };
  if (kind !== "service" || stack === undefined || service === undefined) {
    throw usageError(`${name} is a ${kind}: name a task or a service, as \`orchd ps\` lists them`);
  }
  const tasks = await client.tasks({ stack, service });
  const found = tasks.find(isReady) ?? tasks.find(({ state }) => state === "running");
  if (found !== undefined) return found;
  throw new OrchdError("conflict", `${name} runs no task: see \`orchd explain ${name}\``);
}

function isReady({ state, desired, health }: TaskSummary): boolean {
  return state === "running" && desired === "running" && isFit(health);
}
