import { equalJson, sortedBy } from "../lib/order.ts";
import { endOfSlot, endsOfRuns } from "../core/reconcile/job.ts";
import { isFilledIn } from "../core/task/expand.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { Applied } from "../model/change.ts";
import { canMove, homeOf } from "../model/home.ts";
import type { NodeId } from "../model/ids.ts";
import { pinOf } from "../model/image-pin.ts";
import { limitsInForce } from "../model/limits-in-force.ts";
import { restartOf, specAt, specOf, type Service, type ServiceSpec } from "../model/service.ts";
import type { Task } from "../model/task.ts";
import type { View } from "../model/view.ts";

/** Everything that a node should hold by this view: nothing, if it was removed. */
export function assignmentSetOf(view: View, nodeId: NodeId): AssignmentSet {
  const assignments: Assignment[] = [];
  const node = view.nodes.get(nodeId);
  const tasks = node === undefined ? [] : view.tasksOn(nodeId);
  for (const task of sortedBy(tasks, (t) => t.id)) {
    const service = view.services.get(task.serviceId);
    if (service === undefined) continue;
    const spec = specAt(service, task.revision);
    const { container, resources, ports, ingress } = spec;
    const restart = restartOf(spec);
    const { serviceId, stack, service: name, slot, revision, desired, state, failures } = task;
    const who = { taskId: task.id, serviceId, stack, service: name, slot, revision };
    const pin = node === undefined ? undefined : pinOf(service, task.revision, node);
    const what = { container, ...(pin === undefined ? {} : { pin }), resources, ports, restart };
    const limits = limitsInForce(service, revision);
    const held = limits === undefined ? {} : { limits };
    const given = task.devices === undefined ? {} : { devices: task.devices };
    const taken = ingress === undefined ? {} : { requestPorts: ingress.map(({ port }) => port) };
    const { backups } = specOf(service);
    const kept = backups === undefined || desired !== "running" ? {} : { backups };
    const home = canMove(service) || homeOf(view, service, slot) !== undefined;
    const bond = home ? {} : { unbound: true };
    const endsAt = endOfSlot(service, slot);
    const end = endsAt === undefined ? {} : { endsAt };
    const terms = { ...held, ...kept, ...bond, ...end };
    const also = { ...taken, ...given, ...labelsFor(service, spec), ...terms };
    assignments.push({ ...who, desired, state, ...what, ...also, failures });
  }
  return { generation: view.version, assignments };
}

/** Whether a spec is filled in for each task: asked again and again, and never another answer. */
const filledIn = new WeakMap<ServiceSpec, boolean>();

/** Only what is filled in needs them. */
function labelsFor(service: Service, spec: ServiceSpec): Pick<Assignment, "serviceLabels"> {
  const known = filledIn.get(spec) ?? isFilledIn(spec.container);
  filledIn.set(spec, known);
  return known ? { serviceLabels: specOf(service).labels } : {};
}

/** The nodes whose assignment set is another after this write: reports of agents change none. */
export function nodesTouchedBy(applied: Applied): NodeId[] {
  if (applied.kind === "node") {
    return applied.before !== undefined && applied.after === undefined ? [applied.before.id] : [];
  }
  if (applied.kind !== "task") return [];
  const { before, after } = applied;
  if (before !== undefined && after !== undefined && sameAssignment(before, after)) return [];
  return [before?.nodeId, after?.nodeId].filter((id) => id !== undefined);
}

/**
 * The nodes that hear of other backups, limits or deadlines: what of a service's newest revision
 * concerns tasks of older ones as well.
 */
export function nodesWithOtherTerms(view: View, { kind, before, after }: Applied): NodeId[] {
  if (kind !== "service" || before === undefined || after === undefined) return [];
  if (equalJson(termsOf(before), termsOf(after))) return [];
  const nodes = view.tasksOf(after.id).map(({ nodeId }) => nodeId);
  return [...new Set(nodes)].filter((id) => id !== undefined);
}

function termsOf(service: Service) {
  const { backups, resources } = specOf(service);
  return { backups, limits: resources.limits, ends: endsOfRuns(service) };
}

function sameAssignment(a: Task, b: Task): boolean {
  return a.nodeId === b.nodeId && a.desired === b.desired;
}
