import { OrchdError } from "../lib/errors.ts";
import type { NodeId } from "../model/ids.ts";
import type { AgentSession } from "../model/session.ts";
import { formatTaskName, type Task } from "../model/task.ts";
import type { ApiDeps } from "./deps.ts";
import { hostnameOf, resolveTarget } from "./read/target.ts";

/**
 * The agent that holds the task.
 * @throws OrchdError `conflict` before the task has a node, `unreachable` while its node is away
 */
export function agentOf(deps: ApiDeps, task: Task): AgentSession {
  const hostname = hostnameOf(deps.store.view(), task);
  const name = formatTaskName(task, hostname);
  if (task.nodeId === undefined) {
    const why = task.message === "" ? "" : `: ${task.message}`;
    throw new OrchdError("conflict", `${name} has no node yet${why}`, { retryable: true });
  }
  const session = deps.session(task.nodeId);
  if (session !== undefined) return session;
  const where = `is on node ${hostname ?? task.nodeId}, which is not connected`;
  const message = `${name} ${where}: try again`;
  throw new OrchdError("unreachable", message, { retryable: true });
}

/**
 * The task that is named, if it runs.
 * @param what for the refusal: `commands run in`
 * @throws OrchdError `notFound`, or `conflict` when it does not run
 */
export function runningTask(deps: ApiDeps, name: string, what: string): Task {
  const view = deps.store.view();
  const target = resolveTarget(view, name, ["task"]);
  if (target.kind !== "task") throw new OrchdError("notFound", `${name} is not a task`);
  const { task } = target;
  if (task.state === "running") return task;
  const shown = formatTaskName(task, hostnameOf(view, task));
  throw new OrchdError("conflict", `${shown} is ${task.state}: ${what} running tasks only`);
}

export function hostnameOfNode(deps: ApiDeps, id: NodeId): string {
  return deps.store.view().nodes.get(id)?.hostname ?? id;
}
