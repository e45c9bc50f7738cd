import { put } from "../../model/change.ts";
import { formatServiceName } from "../../model/names.ts";
import { specOf, type Revision, type Service } from "../../model/service.ts";
import { withSet, type AppliedSet, type Stack } from "../../model/stack.ts";
import type { View } from "../../model/view.ts";
import { equalJson, sortedBy } from "../../lib/order.ts";
import { describeChange } from "./describe.ts";
import { headsOf, type ApplyPlan } from "./apply.ts";
import { problemsOfRules } from "./ingress.ts";
import { assignPorts } from "./ports.ts";
import { undoTo } from "./rollout-orders.ts";

/**
 * A stack back at what it was once made to be: each of its services at the revision of then, all of
 * them or none. Services that came later stay, and are told as orphans.
 * @param id the set; the one before the newest where none is named
 * @param now milliseconds since 1970
 */
export function planStackUndo(
  view: View,
  stack: Stack,
  id: number | undefined,
  now: number,
): ApplyPlan {
  const plan: ApplyPlan = { changes: [], lines: [], orphans: [], problems: [] };
  const refuse = (problem: string): ApplyPlan => ({ ...plan, problems: [problem] });
  if (stack.removing) return refuse(`stack ${stack.name} is being removed`);
  const set = setOf(stack, id);
  if (set === undefined && id === undefined) {
    return refuse(`stack ${stack.name} was never another one: there is nothing to go back to`);
  }
  const known = `\`orchd rollout history --stack ${stack.name}\` lists those that are`;
  if (set === undefined) return refuse(`set ${id} of stack ${stack.name} is not kept: ${known}`);
  const targets = sortedBy(Object.entries(set.revisions), ([name]) => name);
  for (const [name, revision] of targets) undoOne(plan, view, { stack, name, revision }, now);
  plan.problems.push(...portProblems(view, stack, set));
  if (plan.problems.length > 0) return { ...plan, changes: [] };
  plan.orphans = sortedBy(view.servicesOf(stack.name), (service) => service.name)
    .filter((service) => !service.removing && !Object.hasOwn(set.revisions, service.name))
    .map((service) => service.name);
  if (plan.changes.length === 0) {
    return refuse(`stack ${stack.name} is as set ${set.id} says already`);
  }
  const after = { ...set.revisions, ...headsOf(plan.changes) };
  plan.changes.push(put.stack({ ...withSet(stack, after, now), updatedAt: now }));
  return plan;
}

function setOf(stack: Stack, id: number | undefined): AppliedSet | undefined {
  return id === undefined ? stack.sets?.[1] : stack.sets?.find((set) => set.id === id);
}

function undoOne(
  plan: ApplyPlan,
  view: View,
  at: { stack: Stack; name: string; revision: number },
  now: number,
): void {
  const name = formatServiceName(at.stack.name, at.name);
  const service = view.serviceNamed(at.stack.name, at.name);
  if (service === undefined || service.removing) {
    plan.problems.push(`service ${name} was removed since: apply the file that has it`);
    return;
  }
  const target = revisionOf(service, at.revision);
  if (target === undefined) {
    plan.problems.push(`revision ${at.revision} of ${name} is not kept any more`);
    return;
  }
  const before = specOf(service);
  if (equalJson(before, target.spec)) {
    plan.lines.push({ action: "keep", service: name, detail: "" });
    return;
  }
  const after = undoTo(view, service, target, now);
  plan.changes.push(put.service(after));
  const replaces = after.templateRevision !== service.templateRevision;
  const detail = describeChange(before, target.spec);
  plan.lines.push({ action: replaces ? "replace" : "update", service: name, detail });
}

function portProblems(view: View, stack: Stack, set: AppliedSet): string[] {
  const specs = view.servicesOf(stack.name).map((service) => {
    const revision = set.revisions[service.name];
    const target = revision === undefined ? undefined : revisionOf(service, revision);
    return [service.name, target?.spec ?? specOf(service)] as const;
  });
  const services = Object.fromEntries(specs);
  const { problems } = assignPorts(view, stack.name, services);
  return [...problems, ...problemsOfRules(view, stack.name, services)];
}

function revisionOf(service: Service, wanted: number): Revision | undefined {
  return service.revisions.find(({ revision }) => revision === wanted);
}
