import { formatDuration, plural } from "../lib/text.ts";
import { decideRestart } from "../core/reconcile/restart.ts";
import { waitOf } from "../core/reconcile/depends.ts";
import { isConverged, wantedTasks } from "../core/reconcile/service.ts";
import { replaceAt } from "../core/reconcile/disconnect.ts";
import { slotsOf, type Slot } from "../core/reconcile/slot.ts";
import { explainPlacement } from "../core/scheduler/schedule.ts";
import { networkFacts } from "./explain-network.ts";
import { jobFacts, nextForJob, summaryOfJob } from "./explain-job.ts";
import { formatWait } from "../model/home.ts";
import { formatServiceName } from "../model/names.ts";
import { formatCheck, PROBE_ROLES } from "../model/probe.ts";
import {
  currentRevision,
  isJob,
  replicasOf,
  restartOf,
  specAt,
  specOf,
  type Service,
  type ServiceSpec,
} from "../model/service.ts";
import type { Explanation } from "../model/summary.ts";
import { downNodeOf, isServing } from "../model/serving.ts";
import { formatTaskName, isFit, isLive, isTerminal, type Task } from "../model/task.ts";
import type { View } from "../model/view.ts";

type Facts = Explanation["facts"];

const HISTORY_SHOWN = 10;

/** Why a task is in the state that it is in, and what happens next. */
export function explainTask(view: View, task: Task, now: number): Explanation {
  const node = task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId);
  const service = view.services.get(task.serviceId);
  const facts: Facts = [
    { label: "state", value: `${task.state} for ${formatDuration(now - task.since)}` },
    { label: "wanted", value: task.desired },
    { label: "node", value: node?.hostname ?? "none yet" },
    { label: "revision", value: String(task.revision) },
    { label: "failures in a row before it", value: String(task.failures) },
  ];
  if (service !== undefined) facts.push(...factsOfHealth(task, specAt(service, task.revision)));
  if (task.devices !== undefined) {
    facts.push({ label: "devices", value: task.devices.join(", ") });
  }
  if (task.exitCode !== undefined) facts.push({ label: "exit code", value: String(task.exitCode) });
  if (node?.health === "down" && !isTerminal(task.state)) {
    const down = `down for ${formatDuration(now - node.since)}`;
    facts.push({ label: "node is", value: `${down}: the state is what it last said` });
  }
  const siblings = view.tasksOf(task.serviceId).filter((other) => other.slot === task.slot);
  return {
    kind: "task",
    id: task.id,
    name: formatTaskName(task, node?.hostname),
    summary: summaryOfTask(task),
    facts,
    placement: task.nodeId === undefined && !isTerminal(task.state) ? placementOf(view, task) : [],
    history: historyOf(view, siblings),
    next: service === undefined ? "" : nextForTask(view, service, task, now),
  };
}

function summaryOfTask({ state, health, message }: Task): string {
  const held = state === "running" && !isFit(health) ? ` and ${health}` : "";
  return `It is ${state}${held}${message === "" ? "" : `: ${message}`}.`;
}

/** What is asked of a task, and what came of it. What its image says stays with its node. */
function factsOfHealth({ state, health }: Task, { container }: ServiceSpec): Facts {
  const { probes } = container;
  const asked = PROBE_ROLES.flatMap((role) => {
    const check = probes?.[role]?.check;
    return check === undefined ? [] : [{ label: role, value: formatCheck(check) }];
  });
  return state === "running" ? [{ label: "health", value: health }, ...asked] : asked;
}

/** Why a service is not, or is, as its newest revision says. */
export function explainService(
  view: View,
  service: Service,
  now: number,
  { autoscaling }: { autoscaling: string },
): Explanation {
  const spec = specOf(service);
  const tasks = view.tasksOf(service.id);
  const wanted = wantedTasks(view, service);
  const ready = tasks.filter((task) => isServing(view, task)).length;
  const stuck = tasks.find((task) => task.state === "pending" && isLive(task));
  const { revision, at } = currentRevision(service);
  const done = isConverged(view, service);
  const worst = tasks.find((task) => task.message !== "" && task.revision === revision);
  const wait = waitOf(view, service);
  const told = worst === undefined ? "" : `; ${formatTaskName(worst)}: ${worst.message}`;
  const trouble = wait === undefined ? told : `; it ${wait}`;
  const nexts = [...slotsOf(view, service).values()].map((slot) =>
    nextForSlot(view, service, slot, now),
  );
  return {
    kind: "service",
    id: service.id,
    name: formatServiceName(service.stack, service.name),
    summary: isJob(spec)
      ? summaryOfJob(view, service)
      : done
        ? `It is as revision ${revision} says: ${ready} of ${plural(wanted, "task")} ready.`
        : `It has not converged: ${ready} of ${plural(wanted, "task")} ready${trouble}.`,
    facts: [
      { label: "image", value: spec.container.image },
      { label: "mode", value: spec.mode },
      ...jobFacts(view, service, now),
      { label: "revision", value: `${revision}, ${formatDuration(now - at)} ago` },
      { label: "restart", value: formatRestart(restartOf(spec)) },
      ...(isJob(spec) ? [] : [{ label: "order of replacement", value: spec.update.order }]),
      ...rolloutFacts(service),
      ...networkFacts(view, service),
      ...factsOfScale(service, autoscaling),
      ...(spec.priority === undefined ? [] : [{ label: "priority", value: String(spec.priority) }]),
    ],
    placement: stuck === undefined ? [] : placementOf(view, stuck),
    history: historyOf(view, tasks),
    next: nextForJob(service, now) ?? nexts.find((text) => text !== "") ?? "",
  };
}

/** How far the latest change of the template is; nothing where there never was one. */
function rolloutFacts({ rollout }: Service): Facts {
  if (rollout === undefined) return [];
  const { state, from, to, failed, slots, message } = rollout;
  const many = failed.length === 0 ? "" : `, ${failed.length} of ${plural(slots, "slot")} failed`;
  const why = message === "" ? "" : `: ${message}`;
  return [{ label: "rollout", value: `${from} to ${to} is ${state}${many}${why}` }];
}

/** Between which bounds the service scales itself, and what was decided last. */
function factsOfScale(service: Service, autoscaling: string): Facts {
  const { autoscale } = specOf(service);
  if (autoscale === undefined) return [];
  const bounds = `${replicasOf(service)} of ${autoscale.min} to ${autoscale.max} tasks`;
  return [
    { label: "scales itself", value: bounds },
    { label: "because", value: autoscaling },
  ];
}

function placementOf(view: View, task: Task): Explanation["placement"] {
  return explainPlacement(view, task).map(({ node, reason, merits }) => ({
    node: node.hostname,
    fits: reason === undefined,
    reason: reason ?? `fits, with ${merits}`,
  }));
}

/** The latest that happened to these tasks. */
export function historyOf(view: View, tasks: readonly Task[]): Explanation["history"] {
  return [...tasks]
    .sort((a, b) => b.since - a.since)
    .slice(0, HISTORY_SHOWN)
    .map((task) => ({
      at: task.since,
      name: formatTaskName(task, task.nodeId && view.nodes.get(task.nodeId)?.hostname),
      state: task.state,
      message: task.message,
    }));
}

function nextForTask(view: View, service: Service, task: Task, now: number): string {
  const slot = slotsOf(view, service).get(task.slot);
  return slot === undefined ? "" : nextForSlot(view, service, slot, now);
}

/** What happens next in a slot that has no task at work; empty where nothing is to say. */
function nextForSlot(view: View, service: Service, slot: Slot, now: number): string {
  if (slot.current.length + slot.outdated.length + slot.stopping.length > 0) return "";
  if (service.removing) return "";
  const [away] = slot.away;
  if (away !== undefined) return nextForAway(view, service, slot, away, now);
  const [latest] = slot.ended;
  if (latest === undefined) return "";
  const decision = decideRestart(latest, restartOf(specOf(service)));
  const name = formatTaskName(latest);
  switch (decision.type) {
    case "done":
      return `${name} has done its work and is not started again.`;
    case "giveUp":
      return `${name} is not started again: ${decision.reason}.`;
    case "retry":
      return `${name} is started again in ${formatDuration(decision.at - now)}.`;
  }
}

/** What happens in a slot whose task is on a node that is down. */
function nextForAway(view: View, service: Service, slot: Slot, task: Task, now: number): string {
  const node = downNodeOf(view, task);
  const name = formatTaskName(task, node?.hostname);
  const at = replaceAt(view, service, slot, now);
  if (at !== undefined) return `${name} is replaced in ${formatDuration(Math.max(0, at - now))}.`;
  return node === undefined ? "" : `${name} ${formatWait(service, node, "is down")}.`;
}

function formatRestart(restart: ReturnType<typeof specOf>["restart"]): string {
  if (restart.condition === "none") return "never";
  const limit = restart.maxAttempts === undefined ? "" : `, at most ${restart.maxAttempts} times`;
  const delay =
    restart.delayMs >= restart.delayMaxMs
      ? formatDuration(restart.delayMs)
      : `${formatDuration(restart.delayMs)} doubling to ${formatDuration(restart.delayMaxMs)}`;
  return `${restart.condition}, after ${delay}${limit}`;
}
