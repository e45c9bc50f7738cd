import type { Command } from "commander";
import { connect, newRemoteCommand, timeoutOption, printJson, printLines } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { conclude } from "../follow/conclude.ts";
import { follow } from "../follow/follow.ts";
import { cleanText } from "../output/clean.ts";

interface DownOptions extends RemoteOptions {
  volumes?: boolean;
  detach?: boolean;
  timeout: number;
}

export function downCommand(context: Context): Command {
  return newRemoteCommand({
    name: "down",
    description: "Removes a stack: stops its tasks and waits until they are gone.",
    examples: ["orchd down shop", "orchd down shop --volumes"],
  })
    .argument("<stack>", "name of the stack")
    .option("-v, --volumes", "also delete the data in its volumes")
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (stack: string, options: DownOptions) => {
      context.exitCode = await down(context, stack, options);
    });
}

async function down(context: Context, stack: string, options: DownOptions): Promise<number> {
  const { io } = context;
  const json = options.json === true;
  const client = await connect(context, options);
  await client.remove(stack, { volumes: options.volumes === true });
  if (options.detach === true) {
    if (json) await printJson(io, { stack, outcome: "detached" });
    else await printLines(io, [cleanText(`stack ${stack} is being removed: see \`orchd ls\``)]);
    return 0;
  }
  const title = `stack ${stack}`;
  const outcome = await follow(io, {
    title,
    goal: "removed",
    timeoutMs: options.timeout,
    json,
    open: (signal) => client.progress(stack, signal),
  });
  if (json) await printJson(io, { stack, outcome: outcome.type });
  const look = `orchd ps ${stack} --all`;
  const timeoutMs = options.timeout;
  return conclude(context, outcome, { title, done: "is removed", timeoutMs, look, json });
}
