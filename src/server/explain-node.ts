import { formatBytes, formatDuration, plural } from "../lib/text.ts";
import { loadOf } from "../core/scheduler/load.ts";
import { formatDisk } from "../model/disk.ts";
import { canMove } from "../model/home.ts";
import type { Node } from "../model/node.ts";
import { specOf, tieOf } from "../model/service.ts";
import type { Explanation } from "../model/summary.ts";
import { isLive, type Task } from "../model/task.ts";
import type { View } from "../model/view.ts";
import { historyOf } from "./explain.ts";

/**
 * What a node is doing, how full it is, and what happens to its tasks.
 * @param reason why its health is what it is, in one sentence without a full stop
 * @param now milliseconds since 1970
 */
export function explainNode(view: View, node: Node, reason: string, now: number): Explanation {
  const load = loadOf(view, node.id);
  const { cpuMillis, memoryBytes } = node.resources;
  const healthFor = formatDuration(now - node.since);
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  return {
    kind: "node",
    id: node.id,
    name: node.hostname,
    summary: `It is ${node.health} for ${healthFor} and ${node.availability}: ${reason}.`,
    facts: [
      { label: "address", value: node.address },
      { label: "labels", value: labels.length === 0 ? "none" : labels.sort().join(", ") },
      { label: "platform", value: `${node.platform.os}/${node.platform.arch}` },
      { label: "runtime", value: `${node.runtime.name} ${node.runtime.version}` },
      { label: "tasks", value: String(load.tasks) },
      {
        label: "memory reserved",
        value: `${formatBytes(load.memoryBytes)} of ${formatBytes(memoryBytes)}`,
      },
      { label: "cores reserved", value: `${load.cpuMillis / 1000} of ${cpuMillis / 1000}` },
      ...(node.disk === undefined || node.disk.level === "roomy"
        ? []
        : [{ label: `disk is ${node.disk.level}`, value: formatDisk(node.disk) }]),
      ...(node.volumesToRemove ?? []).map((value) => ({ label: "volume to remove", value })),
      ...Object.entries(node.generic ?? {}).map(([kind, count]) => ({
        label: `resource ${kind} reserved`,
        value: `${load.generic.get(kind) ?? 0} of ${count}`,
      })),
      ...(node.devices ?? []).map(({ id, kind, path }) => ({
        label: kind,
        value: `${id} (${path})${load.devices.has(id) ? ", in use" : ""}`,
      })),
      ...Object.entries(node.foreignImages ?? {}).map(([image, platform]) => ({
        label: "image that can't run here",
        value: `${image} is for ${platform}`,
      })),
      ...(node.ingress?.problems ?? []).map((value) => ({ label: "no requests", value })),
      ...(node.notes ?? []).map((value) => ({ label: "trouble", value })),
    ],
    placement: [],
    history: historyOf(view, view.tasksOn(node.id)),
    next: nextFor(view, node, now),
  };
}

/** What becomes of the node's tasks while it is down or drained. */
function nextFor(view: View, node: Node, now: number): string {
  if (node.health !== "down" && node.availability !== "drain") return "";
  const tasks = view.tasksOn(node.id).filter(isLive);
  if (tasks.length === 0) return "It holds no task.";
  const [moving, waiting] = partition(view, tasks);
  const moves = moving.length === 0 ? [] : [`${plural(moving.length, "task")} can go on elsewhere`];
  const waits = waiting.length === 0 ? [] : [`${plural(waiting.length, "task")} can't`];
  const [first] = waiting;
  const why = first === undefined ? "" : ` (${tieText(view, first)})`;
  const all = `Of its tasks, ${[...moves, ...waits].join(" and ")}${why}.`;
  return [all, ...(node.availability === "drain" ? turnsOf(view, node, tasks, now) : [])].join(" ");
}

/** Why tasks are still on a drained node, and until when at most. */
function turnsOf(view: View, node: Node, tasks: readonly Task[], now: number): string[] {
  const services = new Set(tasks.flatMap((task) => view.services.get(task.serviceId) ?? []));
  const turns = [...services].flatMap((service) => {
    const { parallelism = 0 } = specOf(service).drain ?? {};
    if (parallelism === 0) return [];
    const name = `${service.stack}/${service.name}`;
    return [`Of ${name} no more than ${plural(parallelism, "slot")} may be empty at once.`];
  });
  const { drainBy } = node;
  if (drainBy === undefined || drainBy <= now) return turns;
  return [...turns, `What is left ends in ${formatDuration(drainBy - now)}.`];
}

function partition(view: View, tasks: readonly Task[]): [moving: Task[], waiting: Task[]] {
  const moves = (task: Task) => {
    const service = view.services.get(task.serviceId);
    return service !== undefined && canMove(service);
  };
  return [tasks.filter(moves), tasks.filter((task) => !moves(task))];
}

function tieText(view: View, task: Task): string {
  const service = view.services.get(task.serviceId);
  const tie = service === undefined ? undefined : tieOf(specOf(service));
  const name = `${task.stack}/${task.service}`;
  return tie === undefined ? `${name} has one on each node` : `the ${tie} of ${name} is there`;
}
