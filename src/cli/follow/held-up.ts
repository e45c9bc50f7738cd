import type { ApplyResult, ServiceSummary } from "../../model/summary.ts";

/** Whether the service's rollout failed: it stopped, or goes back by itself. */
export function isHeldUp({ rollout }: ServiceSummary): boolean {
  if (rollout === undefined) return false;
  const wentBack = rollout.back === "failure";
  return wentBack || (rollout.state === "paused" && rollout.locked !== true);
}

/** Whether the rest of the service's rollout waits for a person, or for a time. */
export function isWaiting({ rollout }: ServiceSummary): boolean {
  if (rollout === undefined) return false;
  const forPerson = rollout.state === "canary" && rollout.message !== "";
  const isLocked = rollout.state === "paused" && rollout.locked === true;
  return forPerson || isLocked || rollout.state === "waiting-for-window";
}

/** The services that get new tasks by what was applied. */
export function replacedIn({ plan }: ApplyResult): Set<string> {
  return new Set(plan.filter(({ action }) => action === "replace").map(({ service }) => service));
}
