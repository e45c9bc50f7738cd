import type { ApiClient } from "../../api/client.ts";
import { plural } from "../../lib/text.ts";
import type { RestartPolicy } from "../../model/service.ts";
import type { ServiceSummary, TaskSummary } from "../../model/summary.ts";

/** So many failures of one slot in a row mean that waiting will not help. */
const FAILURES_MAX = 3;

/** Asks for a service's tasks and tells why it can't converge, if it can't. */
export async function stuckReasonOf(
  client: ApiClient,
  service: ServiceSummary,
  policy?: RestartPolicy,
): Promise<string | undefined> {
  const { stack, name, revision } = service;
  const tasks = await client.tasks({ stack, service: name, all: true });
  const current = tasks.filter((task) => task.revision === revision);
  return findStuck(current, policy);
}

/**
 * Why one of a revision's slots can't get ready: it failed again and again, or its restart policy
 * allows no further attempt.
 */
export function findStuck(
  tasks: readonly TaskSummary[],
  policy?: RestartPolicy,
): string | undefined {
  for (const attempts of Map.groupBy(tasks, (task) => task.slot).values()) {
    const latest = attempts.reduce((a, b) => (b.createdAt >= a.createdAt ? b : a));
    const failed = ["failed", "rejected"].includes(latest.state);
    const failures = latest.failures + (failed ? 1 : 0);
    const why = whyStuck(latest, failed, failures, policy);
    if (why !== undefined) return `${latest.name} ${why}${messageIn(attempts)}`;
  }
  return undefined;
}

function whyStuck(
  { state }: TaskSummary,
  failed: boolean,
  failures: number,
  policy?: RestartPolicy,
): string | undefined {
  if (state === "failed" && policy?.condition === "none") {
    return "failed, and its restart policy is none";
  }
  if (failed && policy?.maxAttempts !== undefined && failures > policy.maxAttempts) {
    return `failed and has used all ${plural(policy.maxAttempts, "restart")}`;
  }
  return failures >= FAILURES_MAX ? `failed ${failures} times in a row` : undefined;
}

/** What the latest attempt that failed said. */
function messageIn(attempts: readonly TaskSummary[]): string {
  const failed = attempts
    .filter((task) => task.state === "failed" || task.state === "rejected")
    .sort((a, b) => b.createdAt - a.createdAt);
  const message = failed.find((task) => task.message !== "")?.message;
  return message === undefined ? "" : `: ${message}`;
}
