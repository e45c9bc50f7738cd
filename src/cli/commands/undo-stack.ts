import type { ApiClient } from "../../api/client.ts";
import { printJson, printLines, type Context } from "../context.ts";
import { conclude } from "../follow/conclude.ts";
import { follow } from "../follow/follow.ts";
import { replacedIn } from "../follow/held-up.ts";
import type { WaitOptions } from "../follow/follow-services.ts";
import { stuckReasonOf } from "../follow/stuck.ts";
import { cleanText } from "../output/clean.ts";

/** Takes a stack back, and waits until it is there; answers the exit code. */
export async function undoStack(
  context: Context,
  client: ApiClient,
  stack: string,
  options: WaitOptions & { to?: number },
): Promise<number> {
  const { io } = context;
  const json = options.json === true;
  const result = await client.undoStack(stack, options.to);
  if (options.detach === true) {
    if (json) await printJson(io, { ...result, outcome: "detached" });
    else await printLines(io, [cleanText(`stack ${stack} goes back: see \`orchd ps ${stack}\``)]);
    return 0;
  }
  const title = `stack ${stack}`;
  const timeoutMs = options.timeout;
  const outcome = await follow(io, {
    title,
    goal: "converged",
    timeoutMs,
    json,
    open: (signal) => client.progress(stack, signal),
    fresh: replacedIn(result),
    stuckReason: (service) => stuckReasonOf(client, service),
  });
  if (json) await printJson(io, { ...result, outcome: outcome.type });
  const look = `orchd ps ${stack} --all`;
  return conclude(context, outcome, { title, done: "has converged", timeoutMs, look, json });
}
