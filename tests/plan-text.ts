import type { Action, Plan } from "../src/core/reconcile/plan.ts";
import { sortedBy } from "../src/lib/order.ts";
import type { Rollout } from "../src/model/rollout.ts";
import type { Service } from "../src/model/service.ts";
import type { Task } from "../src/model/task.ts";
import type { View } from "../src/model/view.ts";

/** An id of the builders as its name: `webxxxxxxxxx` reads `web`. */
export function shortId(id: string | undefined): string {
  return id === undefined ? "-" : id.replace(/x+$/, "");
}

/** A plan as lines: one for each action, then when to look again. */
export function formatPlan(plan: Plan): string[] {
  const lines = plan.actions.map(formatAction);
  if (plan.wakeAt !== undefined) lines.push(`look again at ${plan.wakeAt}`);
  return lines;
}

function formatAction(action: Action): string {
  switch (action.type) {
    case "createTask": {
      const { slot, revision, failures, desired } = action.task;
      const after = failures === 0 ? "" : ` after ${failures} failures`;
      const what = desired === "prepared" ? "stage" : "create";
      const wait = action.task.state === "new" ? `, which ${action.task.message}` : "";
      return `${what} a task in slot ${shortId(slot)} of revision ${revision}${after}${wait}`;
    }
    case "startTask":
      return `start ${shortId(action.taskId)}`;
    case "stopTask":
      return `stop ${shortId(action.taskId)}: ${action.reason}`;
    case "retireTask":
      return `retire ${shortId(action.taskId)}`;
    case "removeTask":
      return `remove ${shortId(action.taskId)}`;
    case "deleteTask":
      return `forget ${shortId(action.taskId)}`;
    case "updateService":
      return formatUpdate(action.service);
    case "holdTask":
      return `hold ${shortId(action.taskId)}, which ${action.message}`;
    case "releaseTask":
      return `let ${shortId(action.taskId)} go on`;
    case "deleteService":
      return `delete service ${shortId(action.serviceId)}`;
    case "deleteStack":
      return `delete stack ${action.name}`;
  }
}

/** What a plan remembers of a service. */
function formatUpdate({ homes = {}, rollout, runs, revisions }: Service): string {
  const tied = sortedBy(Object.entries(homes), ([slot]) => slot);
  const ties = tied.map(([slot, node]) => `slot ${slot} to ${shortId(node)}`).join(", ");
  const lines = ties === "" ? [] : [`tie ${ties}`];
  if (rollout !== undefined) lines.push(`note that ${formatRollout(rollout, revisions)}`);
  const [run] = runs?.list ?? [];
  if (run !== undefined) {
    const why = run.message === "" ? "" : `: ${run.message}`;
    lines.push(`remember of runs: run ${run.run} ${run.result ?? "is under way"}${why}`);
  }
  return lines.join(", ");
}

/** `the rollout 1 -> 2 is paused: …` */
export function formatRollout(rollout: Rollout, revisions: Service["revisions"]): string {
  const { state, from, to, failed, message } = rollout;
  const many = failed.length === 0 ? "" : `, ${failed.length} failed`;
  const head = revisions[0]?.revision;
  const newest = head === to ? "" : `, newest ${head}`;
  const why = message === "" ? "" : `: ${message}`;
  return `rollout ${from} -> ${to} is ${state}${many}${newest}${why}`;
}

/** The tasks of a view as an aligned table, by slot and age. */
export function formatTasks(view: View, nameOf: (id: string) => string = shortId): string[] {
  const tasks = sortedBy(view.tasks.values(), (task) => {
    const age = String(task.createdAt).padStart(9, "0");
    return `${task.service}/${task.slot.padStart(12, "0")}/${age}/${task.id}`;
  });
  const rows = tasks.map((task) => rowOf(task, nameOf));
  const head = ["task", "slot", "rev", "node", "desired", "state", "failures", "message"];
  return formatTable([head, ...rows]);
}

function rowOf(task: Task, nameOf: (id: string) => string): string[] {
  const { service, slot, revision, failures, desired } = task;
  const state = task.health === "none" ? task.state : `${task.state}/${task.health}`;
  const node = task.nodeId === undefined ? "-" : nameOf(task.nodeId);
  const told = [desired, state, String(failures), task.message];
  return [nameOf(task.id), `${service}.${nameOf(slot)}`, String(revision), node, ...told];
}

/** Columns as wide as their widest cell. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => (row[i] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
