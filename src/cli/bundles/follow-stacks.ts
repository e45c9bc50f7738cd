import type { ApiClient } from "../../api/client.ts";
import type { BundleResult } from "../../model/bundle.ts";
import type { Context } from "../context.ts";
import { conclude } from "../follow/conclude.ts";
import { follow, type Outcome } from "../follow/follow.ts";
import { replacedIn } from "../follow/held-up.ts";
import { stuckReasonOf } from "../follow/stuck.ts";

/** Waits for each stack of a bundle; ends at the first that does not get there. */
export async function followStacks(
  context: Context,
  client: ApiClient,
  { stacks }: BundleResult,
  { json, timeout: timeoutMs }: { json?: boolean; timeout: number },
): Promise<{ code: number; outcome: Outcome["type"] }> {
  for (const result of stacks) {
    const { stack } = result;
    const title = `stack ${stack}`;
    const outcome = await follow(context.io, {
      title,
      goal: "converged",
      timeoutMs,
      json: json === true,
      open: (signal) => client.progress(stack, signal),
      fresh: replacedIn(result),
      stuckReason: (service) => stuckReasonOf(client, service),
    });
    const look = `orchd ps ${stack} --all`;
    const told = { title, done: "has converged", timeoutMs, look, json: json === true };
    const code = await conclude(context, outcome, told);
    if (outcome.type !== "done") return { code, outcome: outcome.type };
  }
  return { code: 0, outcome: "done" };
}
