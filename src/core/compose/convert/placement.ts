import {
  PRIORITY_MAX,
  PRIORITY_MIN,
  type Constraint,
  type Placement,
  type ServiceSpec,
  STRATEGIES,
} from "../../../model/service.ts";
import { affinityOf } from "./affinity.ts";
import { constraintOf, CONSTRAINTS_MAX, isKnownKey } from "./constraints.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const PREFERENCES_MAX = 16;

/** Where tasks may run and where they run best, by `deploy.placement` and by `x-orchd`. */
export function placementOf(service: Cursor, stack: string): Placement {
  const placement = service.get("deploy")?.get("placement");
  const preferences = placement?.get("preferences");
  const strategy = service.get("x-orchd")?.get("strategy")?.text();
  const affinity = affinityOf(service, stack);
  return withoutUndefined({
    constraints: constraintsOf(service),
    spread: bounded(preferences, PREFERENCES_MAX).flatMap((item) => spreadOf(item) ?? []),
    maxReplicasPerNode: placement?.get("max_replicas_per_node")?.integer(0) ?? 0,
    strategy: STRATEGIES.find((one) => one === strategy),
    affinity: affinity.length === 0 ? undefined : affinity,
  });
}

/** Which services come first where there is too little room, and whether tasks move to new room. */
export function precedenceOf(service: Cursor): Pick<ServiceSpec, "priority" | "rebalance"> {
  const given = service.get("x-orchd");
  return withoutUndefined({
    priority: given?.get("priority")?.integer(PRIORITY_MIN, PRIORITY_MAX),
    rebalance: given?.get("rebalance")?.text() === "gentle" ? ("gentle" as const) : undefined,
  });
}

function constraintsOf(service: Cursor): Constraint[] {
  const plain = service.get("deploy")?.get("placement")?.get("constraints");
  const more = service.get("x-orchd")?.get("constraints");
  const all = [
    ...bounded(plain, CONSTRAINTS_MAX).flatMap((item) => constraintOf(item, "compose") ?? []),
    ...bounded(more, CONSTRAINTS_MAX).flatMap((item) => constraintOf(item, "x-orchd") ?? []),
  ];
  if (all.length > CONSTRAINTS_MAX) {
    more?.error(`are more than ${CONSTRAINTS_MAX} together with deploy.placement.constraints`);
  }
  return all;
}

function bounded(list: Cursor | undefined, max: number): Cursor[] {
  const items = list?.items() ?? [];
  if (items.length <= max) return items;
  list?.error(`has more than ${max} items`);
  return [];
}

function spreadOf(item: Cursor): string | undefined {
  const spread = item.get("spread");
  const key = spread?.text()?.trim();
  if (spread === undefined || key === undefined) {
    return item.has("spread") ? undefined : item.error("needs spread");
  }
  return isKnownKey(key, spread) ? key : undefined;
}
