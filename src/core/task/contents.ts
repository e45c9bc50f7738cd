import type { Assignment } from "../../model/assignment.ts";
import { contentIdOf, type ContentRef } from "../../model/item.ts";
import { isTerminal } from "../../model/task.ts";

/**
 * The contents that a node needs for its tasks, each once. A server sends no others, and an agent
 * forgets all others: both go by the same assignments.
 */
export function contentsNeeded(assignments: Iterable<Assignment>): Map<string, ContentRef> {
  const needed = new Map<string, ContentRef>();
  for (const assignment of assignments) {
    const { grants = [] } = assignment.container;
    if (grants.length === 0 || !mayStart(assignment)) continue;
    for (const { content } of grants) {
      if (content !== undefined) needed.set(contentIdOf(content), content);
    }
  }
  return needed;
}

/** Whether the task, or the one that the agent makes after it while it is alone, may be started. */
function mayStart({ desired, state, restart }: Assignment): boolean {
  // What is only made ready has its files from then on.
  if (desired === "prepared") return !isTerminal(state);
  if (desired !== "running") return false;
  if (!isTerminal(state)) return true;
  if (restart === undefined || restart.condition === "none") return false;
  return state !== "complete" || restart.condition === "any";
}
