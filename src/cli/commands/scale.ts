import type { Command } from "commander";
import { REPLICAS_MAX } from "../../model/service.ts";
import { connect, newRemoteCommand, timeoutOption, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { followServices, type WaitOptions } from "../follow/follow-services.ts";

type ScaleOptions = RemoteOptions & WaitOptions;

export function scaleCommand(context: Context): Command {
  return newRemoteCommand({
    name: "scale",
    description: "Sets how many tasks services run, and waits until they do.",
    examples: ["orchd scale web-app=4", "orchd scale shop/web=3 shop/worker=0"],
  })
    .argument("<service=tasks...>", "service and the number of its tasks")
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (pairs: string[], options: ScaleOptions) => {
      const wanted = parseScale(pairs);
      const client = await connect(context, options);
      const services = await client.scale(wanted);
      context.exitCode = await followServices(context, client, services, options);
    });
}

/** `["web=4"]` as `{web: 4}`; throws on anything else. */
export function parseScale(pairs: readonly string[]): Record<string, number> {
  const wanted = new Map<string, number>();
  for (const pair of pairs) {
    const [, service, count] = /^([^=]+)=(\d{1,9})$/.exec(pair) ?? [];
    if (service === undefined || count === undefined) {
      throw usageError(
        `${JSON.stringify(pair)} does not say what to scale: write SERVICE=N, such as web-app=4`,
      );
    }
    if (Number(count) > REPLICAS_MAX) {
      throw usageError(`${service} can't have ${count} tasks: the most is ${REPLICAS_MAX}`);
    }
    if (wanted.has(service)) throw usageError(`${service} is named twice: name it once`);
    wanted.set(service, Number(count));
  }
  return Object.fromEntries(wanted);
}
