import { ID_PATTERN } from "../../lib/ids.ts";
import { OrchdError } from "../../lib/errors.ts";
import { compareText } from "../../lib/order.ts";
import { nearest } from "../../lib/text.ts";
import { formatServiceName, parseServiceName } from "../../model/names.ts";
import type { Node } from "../../model/node.ts";
import type { Service } from "../../model/service.ts";
import type { Stack } from "../../model/stack.ts";
import { formatTaskName, isTerminal, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** What a name that people typed stands for. */
export type Target =
  | { kind: "stack"; stack: Stack }
  | { kind: "service"; service: Service }
  | { kind: "task"; task: Task }
  | { kind: "node"; node: Node };
export type TargetKind = Target["kind"];

export const TARGET_KINDS = ["stack", "service", "task", "node"] as const;

const ID_PREFIX_MIN = 3;

/**
 * Finds what `text` names among `kinds`: a stack, a service (`shop/web`, or `web` where one stack
 * alone has it), a task (`shop/web.1`, `web.1`), a node by host name, or an id. Where nothing has
 * that name, the start of one task's or node's id will do.
 * @throws OrchdError `notFound` with the nearest name, or `conflict` that lists what it could be
 */
export function resolveTarget(
  view: View,
  text: string,
  kinds: readonly TargetKind[] = TARGET_KINDS,
): Target {
  const wanted = (target: Target) => kinds.includes(target.kind);
  let found = namedExactly(view, text).filter(wanted);
  if (found.length === 0) found = namedByIdPrefix(view, text).filter(wanted);
  const [first] = found;
  if (first === undefined) throw notFound(view, text, kinds);
  if (found.length > 1) throw ambiguous(view, text, found);
  return first;
}

/** @throws OrchdError `notFound`, `conflict` */
export function serviceNamed(view: View, text: string): Service {
  const target = resolveTarget(view, text, ["service"]);
  if (target.kind !== "service") throw new OrchdError("notFound", `${text} is not a service`);
  return target.service;
}

/** @throws OrchdError `notFound` with the nearest name */
export function findService(view: View, at: { stack: string; service: string }): Service {
  return serviceNamed(view, formatServiceName(at.stack, at.service));
}

/** @throws OrchdError `notFound` with the nearest name */
export function findStack(view: View, name: string): Stack {
  const stack = view.stacks.get(name);
  if (stack !== undefined) return stack;
  const near = nearest(name, view.stacks.keys());
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  throw new OrchdError("notFound", `there is no stack named ${name}${hint}`);
}

/** `shop/web.1`, `shop/web`, `shop` or a host name: how lists show the target. */
export function nameOfTarget(view: View, target: Target): string {
  switch (target.kind) {
    case "stack":
      return target.stack.name;
    case "service":
      return formatServiceName(target.service.stack, target.service.name);
    case "task":
      return formatTaskName(target.task, hostnameOf(view, target.task));
    case "node":
      return target.node.hostname;
  }
}

export function hostnameOf(view: View, task: Task): string | undefined {
  return task.nodeId === undefined ? undefined : view.nodes.get(task.nodeId)?.hostname;
}

function namedExactly(view: View, text: string): Target[] {
  const found: Target[] = [];
  const stack = view.stacks.get(text);
  if (stack !== undefined) found.push({ kind: "stack", stack });
  for (const service of view.services.values()) {
    const rest = afterServiceName(service, text);
    if (rest === "") found.push({ kind: "service", service });
    const task = rest?.startsWith(".") ? taskInSlot(view, service, rest.slice(1)) : undefined;
    if (task !== undefined) found.push({ kind: "task", task });
  }
  for (const node of view.nodes.values()) {
    if (node.hostname === text) found.push({ kind: "node", node });
  }
  return found;
}

/** What follows on the service's name in `text`; undefined if `text` does not begin with it. */
function afterServiceName(service: Service, text: string): string | undefined {
  const { stack, service: rest } = parseServiceName(text);
  if (stack !== undefined && stack !== service.stack) return undefined;
  return rest.startsWith(service.name) ? rest.slice(service.name.length) : undefined;
}

/** The task that holds the slot, or else its latest attempt. A slot may be named by its node. */
function taskInSlot(view: View, service: Service, slot: string): Task | undefined {
  const attempts = view
    .tasksOf(service.id)
    .filter((task) => task.slot === slot || hostnameOf(view, task) === slot);
  return attempts.toSorted(compareAttempts)[0];
}

/** Tasks that have not ended first, then the newest first. */
export function compareAttempts(a: Task, b: Task): number {
  const ended = Number(isTerminal(a.state)) - Number(isTerminal(b.state));
  const stopping = Number(a.desired !== "running") - Number(b.desired !== "running");
  return ended || stopping || b.attempt - a.attempt || compareText(b.id, a.id);
}

function namedByIdPrefix(view: View, text: string): Target[] {
  if (text.length < ID_PREFIX_MIN) return [];
  const found: Target[] = [];
  for (const task of view.tasks.values()) {
    if (task.id.startsWith(text)) found.push({ kind: "task", task });
  }
  for (const node of view.nodes.values()) {
    if (node.id.startsWith(text)) found.push({ kind: "node", node });
  }
  for (const service of view.services.values()) {
    if (service.id === text) found.push({ kind: "service", service });
  }
  return ID_PATTERN.test(text) ? found.filter((target) => idOf(target) === text) : found;
}

export function idOf(target: Target): string {
  switch (target.kind) {
    case "stack":
      return target.stack.name;
    case "service":
      return target.service.id;
    case "task":
      return target.task.id;
    case "node":
      return target.node.id;
  }
}

function notFound(view: View, text: string, kinds: readonly TargetKind[]): OrchdError {
  const near = nearest(text, namesOf(view, kinds));
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const last = kinds.at(-1) ?? "";
  const list = kinds.length > 1 ? `${kinds.slice(0, -1).join(", ")} or ${last}` : last;
  return new OrchdError("notFound", `there is no ${list} named ${quote(text)}${hint}`);
}

function ambiguous(view: View, text: string, found: readonly Target[]): OrchdError {
  const lines = found.map((target) => {
    const name = nameOfTarget(view, target);
    const id = target.kind === "task" || target.kind === "node" ? ` (${idOf(target)})` : "";
    return `${target.kind} ${name}${id}`;
  });
  const shown = lines.sort(compareText).slice(0, 8);
  if (lines.length > shown.length) shown.push(`${lines.length - shown.length} more`);
  const message = `${quote(text)} could be ${shown.join(", ")}: say which by its full name`;
  return new OrchdError("conflict", message);
}

function* namesOf(view: View, kinds: readonly TargetKind[]): Generator<string> {
  if (kinds.includes("stack")) yield* view.stacks.keys();
  for (const { stack, name } of kinds.includes("service") ? view.services.values() : []) {
    yield name;
    yield formatServiceName(stack, name);
  }
  for (const task of kinds.includes("task") ? view.tasks.values() : []) {
    const name = formatTaskName(task, hostnameOf(view, task));
    yield name;
    yield name.slice(task.stack.length + 1);
  }
  for (const node of kinds.includes("node") ? view.nodes.values() : []) yield node.hostname;
}

/** A name from outside inside a message: bounded, and with nothing that could forge a line. */
function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 63)}…` : text);
}
