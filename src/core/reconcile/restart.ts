import type { RestartPolicy } from "../../model/service.ts";
import type { Task } from "../../model/task.ts";

/** As much of a task that ended as deciding needs. */
export type EndedTask = Pick<Task, "state" | "since" | "startedAt" | "finishedAt" | "failures">;

/** What follows on the end of a slot's latest attempt. */
export type RestartDecision =
  /** Start the next attempt at `at` (ms since 1970) after one that ended at `endedAt`. */
  | { type: "retry"; at: number; endedAt: number; failures: number }
  /** The slot has done what it was for. */
  | { type: "done" }
  /** The policy allows no further attempt. */
  | { type: "giveUp"; reason: string };

/**
 * Decides by the restart policy. An attempt that never started (`rejected`) says nothing about the
 * program, so the policy's condition does not hold it back. One that was lost with its node is no
 * failure at all, and has a successor at once.
 */
export function decideRestart(ended: EndedTask, policy: RestartPolicy): RestartDecision {
  const endedAt = ended.finishedAt ?? ended.since;
  if (ended.state === "shutdown" || ended.state === "removed") {
    return { type: "retry", at: endedAt, endedAt, failures: 0 };
  }
  if (ended.state === "lost") {
    return { type: "retry", at: endedAt, endedAt, failures: ended.failures };
  }
  if (ended.state === "complete" && policy.condition !== "any") return { type: "done" };
  if (ended.state === "failed" && policy.condition === "none") {
    return { type: "giveUp", reason: "its restart policy is none" };
  }
  const failures = failuresAfter(ended, policy);
  if (policy.maxAttempts !== undefined && failures > policy.maxAttempts) {
    return { type: "giveUp", reason: `it has used all ${policy.maxAttempts} restarts` };
  }
  return { type: "retry", at: endedAt + backoffMs(failures, policy), endedAt, failures };
}

/**
 * When a retry is due. An end that lies ahead tells that the clock was set back, as on a machine
 * that keeps no time while it is off: how long the wait would be can't be known, so it is over.
 */
export function dueAt(retry: Extract<RestartDecision, { type: "retry" }>, now: number): number {
  return retry.endedAt > now ? now : retry.at;
}

/**
 * Attempts of the slot that ended in a row, this one included; one that ran long enough to count as
 * a success begins a new row. With condition `any` a clean exit counts too: a program that keeps
 * ending at once must not spin.
 */
function failuresAfter(ended: EndedTask, policy: RestartPolicy): number {
  const successMs = policy.windowMs > 0 ? policy.windowMs : policy.resetAfterMs;
  const ranMs = ended.startedAt === undefined ? 0 : (ended.finishedAt ?? 0) - ended.startedAt;
  return ranMs >= successMs ? 1 : ended.failures + 1;
}

/** `delayMs`, doubled for each failure after the first, at most `delayMaxMs`. */
function backoffMs(failures: number, policy: RestartPolicy): number {
  const doublings = Math.min(failures - 1, 30);
  return Math.min(policy.delayMs * 2 ** doublings, Math.max(policy.delayMs, policy.delayMaxMs));
}
