import type { Command } from "commander";
import { connect, newRemoteCommand, timeoutOption } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { serviceNamed } from "../name-service.ts";
import { followServices, type WaitOptions } from "../follow/follow-services.ts";

type RestartOptions = RemoteOptions & WaitOptions;

export function restartCommand(context: Context): Command {
  return newRemoteCommand({
    name: "restart",
    description:
      "Replaces every task of a service by a new one, in the order of its update policy.",
    examples: ["orchd restart web-app", "orchd restart shop/web --detach"],
  })
    .argument("<service>", "`stack/service`, or `service` where only one stack has it")
    .option("-d, --detach", "do not wait")
    .addOption(timeoutOption())
    .action(async (target: string, options: RestartOptions) => {
      const client = await connect(context, options);
      const { stack, service } = await serviceNamed(client, target);
      const restarted = await client.restart(stack, service);
      context.exitCode = await followServices(context, client, [restarted], {
        ...options,
        replaces: true,
      });
    });
}
