import { newId } from "../../lib/ids.ts";
import { equalJson, sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { put, type Change } from "../../model/change.ts";
import type { ItemId } from "../../model/ids.ts";
import { formatServiceName } from "../../model/names.ts";
import { revise } from "../../model/revise.ts";
import { currentRevision, specOf, type Service, type ServiceSpec } from "../../model/service.ts";
import { withSet, type Stack, type StackSpec } from "../../model/stack.ts";
import type { PlanLine } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";
import { problemsBetween, withRestarts } from "./apply-dependencies.ts";
import { describeChange } from "./describe.ts";
import { problemsOfRules } from "./ingress.ts";
import { planItems, type NewContent } from "./items.ts";
import { assignPorts } from "./ports.ts";

export interface ApplyPlan {
  changes: Change[];
  lines: PlanLine[];
  /** Services of the stack that its file no longer has; removed only when pruning. */
  orphans: string[];
  /** Why nothing may be changed, one sentence each; `changes` is empty then. */
  problems: string[];
}

export interface ApplyOptions {
  prune: boolean;
  /** Milliseconds since 1970. */
  now: number;
  random: Random;
  /** What was sent under this id; absent where nothing can be sent. */
  upload?(id: string): NewContent | undefined;
}

/** What `up` will change, all of it or nothing. Applying the same file again changes nothing. */
export function planApply(
  view: View,
  name: string,
  spec: StackSpec,
  options: ApplyOptions,
): ApplyPlan {
  const { prune, now, random } = options;
  const plan: ApplyPlan = { changes: [], lines: [], orphans: [], problems: [] };
  const stack = view.stacks.get(name);
  if (stack?.removing === true) {
    plan.problems.push(`stack ${name} is being removed: try again when it is gone`);
    return plan;
  }
  const upload = (id: string) => options.upload?.(id);
  const items = planItems(view, name, spec, { upload, now, random });
  const { specs, problems } = assignPorts(view, name, items.services);
  const between = problemsBetween(view, name, spec.services);
  const rules = problemsOfRules(view, name, spec.services);
  plan.problems.push(...items.problems, ...problems, ...between, ...rules);
  for (const [serviceName, wanted] of sortedBy(countRestarts(view, name, specs), ([key]) => key)) {
    const tooLarge = refuseCanary(formatServiceName(name, serviceName), wanted);
    if (tooLarge !== undefined) plan.problems.push(tooLarge);
    const before = view.serviceNamed(name, serviceName);
    if (before === undefined) {
      plan.changes.push(put.service(newService(name, serviceName, wanted, now, random)));
      plan.lines.push(line("create", name, serviceName, wanted.container.image));
      continue;
    }
    planUpdate(plan, view, before, wanted, now);
  }
  planOrphans(plan, view, name, spec, prune);
  planStackItself(plan, view, name, { spec, own: items.own }, now);
  plan.changes.push(...items.changes);
  if (plan.problems.length > 0) plan.changes = [];
  return plan;
}

/** Canaries are some of a service's tasks. One that is scaled down later has fewer of them. */
function refuseCanary(name: string, { mode, replicas, rollout }: ServiceSpec): string | undefined {
  const { canary } = rollout ?? {};
  if (canary?.unit === "percent" && canary.amount > 100) {
    return `service ${name} can't begin with ${canary.amount} % of its tasks: 100 % is the most`;
  }
  if (canary?.unit !== "tasks" || mode !== "replicated" || replicas === 0) return undefined;
  if (canary.amount <= replicas) return undefined;
  return `service ${name} has ${replicas} tasks and can't begin with ${canary.amount} canaries`;
}

/** Restarts are counted by the cluster, not by the file. */
function countRestarts(
  view: View,
  stack: string,
  specs: Iterable<[string, ServiceSpec]>,
): [string, ServiceSpec][] {
  const before = new Map(view.servicesOf(stack).map((one) => [one.name, specOf(one)]));
  const counted = [...specs].map(([name, spec]): [string, ServiceSpec] => {
    return [name, { ...spec, restarts: before.get(name)?.restarts ?? spec.restarts }];
  });
  return Object.entries(withRestarts(before, Object.fromEntries(counted)));
}

function planUpdate(
  plan: ApplyPlan,
  view: View,
  before: Service,
  wanted: ServiceSpec,
  now: number,
): void {
  if (before.removing) {
    const service = formatServiceName(before.stack, before.name);
    plan.problems.push(`service ${service} is being removed: try again when it is gone`);
    return;
  }
  const after = revise(before, wanted, now, view.tasksOf(before.id));
  if (after === before) {
    plan.lines.push(line("keep", before.stack, before.name, ""));
    return;
  }
  plan.changes.push(put.service(after));
  const replaces = after.templateRevision !== before.templateRevision;
  const onlyScales = equalJson({ ...specOf(before), replicas: wanted.replicas }, wanted);
  const action = replaces ? "replace" : onlyScales ? "scale" : "update";
  plan.lines.push(line(action, before.stack, before.name, describeChange(specOf(before), wanted)));
}

function planOrphans(
  plan: ApplyPlan,
  view: View,
  name: string,
  spec: StackSpec,
  prune: boolean,
): void {
  for (const service of sortedBy(view.servicesOf(name), (s) => s.name)) {
    if (Object.hasOwn(spec.services, service.name) || service.removing) continue;
    if (!prune) {
      plan.orphans.push(service.name);
      continue;
    }
    plan.changes.push(put.service({ ...service, removing: true }));
    plan.lines.push(line("remove", name, service.name, "no longer in the file"));
  }
}

function planStackItself(
  plan: ApplyPlan,
  view: View,
  name: string,
  { spec, own }: { spec: StackSpec; own: ItemId[] },
  now: number,
): void {
  const stack = view.stacks.get(name);
  const volumes = [...new Set([...(stack?.volumes ?? []), ...spec.volumes])].sort();
  const items = own.length === 0 ? {} : { items: own };
  if (stack === undefined) {
    const times = { createdAt: now, updatedAt: now };
    const flags = { removing: false, removeVolumes: false };
    const made: Stack = { name, volumes, ...items, ...times, ...flags, version: 0 };
    plan.changes.push(put.stack(withSet(made, headsOf(plan.changes), now)));
    return;
  }
  const isSame = equalJson([volumes, own], [stack.volumes, stack.items ?? []]);
  if (plan.changes.length > 0 || !isSame) {
    const revisions = { ...revisionsOf(view, name, spec), ...headsOf(plan.changes) };
    const { items: _, ...rest } = withSet(stack, revisions, now);
    plan.changes.push(put.stack({ ...rest, volumes, ...items, updatedAt: now }));
  }
}

/** The services that the file has, as they are. */
function revisionsOf(view: View, name: string, spec: StackSpec): Record<string, number> {
  const services = view.servicesOf(name).filter((s) => Object.hasOwn(spec.services, s.name));
  return Object.fromEntries(services.map((s) => [s.name, currentRevision(s).revision]));
}

/** The newest revision of each service that is written. */
export function headsOf(changes: readonly Change[]): Record<string, number> {
  const heads = changes.flatMap((change): [string, number][] => {
    if (change.kind !== "service" || change.op !== "put" || change.value.removing) return [];
    return [[change.value.name, currentRevision(change.value).revision]];
  });
  return Object.fromEntries(heads);
}

function newService(
  stack: string,
  name: string,
  spec: ServiceSpec,
  now: number,
  random: Random,
): Service {
  return {
    id: newId<"service">(random.split(`service/${stack}/${name}/${now}`)),
    stack,
    name,
    revisions: [{ revision: 1, at: now, spec }],
    templateRevision: 1,
    createdAt: now,
    removing: false,
    version: 0,
  };
}

function line(
  action: PlanLine["action"],
  stack: string,
  service: string,
  detail: string,
): PlanLine {
  return { action, service: formatServiceName(stack, service), detail };
}
