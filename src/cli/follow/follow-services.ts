import type { ApiClient } from "../../api/client.ts";
import { plural } from "../../lib/text.ts";
import type { ServiceSummary } from "../../model/summary.ts";
import { printJson, printLines, type Context } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { conclude } from "./conclude.ts";
import { follow } from "./follow.ts";
import { mergeProgress } from "./merge.ts";
import { stuckReasonOf } from "./stuck.ts";

export interface WaitOptions {
  /** Their tasks are replaced by what is waited for. */
  replaces?: boolean;
  detach?: boolean;
  timeout: number;
  json?: boolean;
}

/** Waits until services that were just changed have converged; answers the exit code. */
export async function followServices(
  context: Context,
  client: ApiClient,
  services: readonly ServiceSummary[],
  options: WaitOptions,
): Promise<number> {
  const { io } = context;
  const json = options.json === true;
  const names = services.map(({ stack, name }) => `${stack}/${name}`);
  const title = names.length === 1 ? (names[0] ?? "") : plural(names.length, "service");
  if (options.detach === true) {
    if (json) await printJson(io, services);
    else await printLines(io, [cleanText(`${title} was changed: see \`orchd services\``)]);
    return 0;
  }
  const outcome = await follow(io, {
    title,
    goal: "converged",
    timeoutMs: options.timeout,
    json,
    open: (signal) =>
      mergeProgress(services.map(({ stack, name }) => client.serviceProgress(stack, name, signal))),
    ...(options.replaces === true ? { fresh: new Set(names) } : {}),
    stuckReason: (service) => stuckReasonOf(client, service),
  });
  const stacks = [...new Set(services.map(({ stack }) => stack))];
  const look = stacks.length === 1 ? `orchd ps ${stacks[0]}` : "orchd ps";
  const timeoutMs = options.timeout;
  return conclude(context, outcome, { title, done: "converged", timeoutMs, look, json });
}
