import { equalJson } from "../../lib/order.ts";
import type { ServiceSpec } from "../../model/service.ts";
import { describeGrants } from "./items.ts";

/**
 * What differs, for people: `image web:1 -> web:2, replicas 2 -> 4, environment`. Values are shown
 * only where they can't be secret.
 */
export function describeChange(before: ServiceSpec, after: ServiceSpec): string {
  const parts: string[] = [];
  if (before.container.image !== after.container.image) {
    parts.push(`image ${before.container.image} -> ${after.container.image}`);
  }
  if (before.replicas !== after.replicas) {
    parts.push(`replicas ${before.replicas} -> ${after.replicas}`);
  }
  if (before.mode !== after.mode) parts.push(`mode ${before.mode} -> ${after.mode}`);
  if (before.restarts !== after.restarts) parts.push("restarted");
  const grants = describeGrants(before.container.grants ?? [], after.container.grants ?? []);
  parts.push(...grants);
  const told = grants.length > 0 ? (["image", "grants"] as const) : (["image"] as const);
  const container = changedKeys(before.container, after.container, told);
  const { limits, ...lasting } = after.resources;
  const { limits: limitsBefore, ...lastingBefore } = before.resources;
  const resources = [
    ...(equalJson(limitsBefore, limits) ? [] : ["limits"]),
    ...(equalJson(lastingBefore, lasting) ? [] : ["reservations"]),
  ];
  const said = ["replicas", "mode", "restarts", "container", "resources"] as const;
  const rest = changedKeys(before, after, said);
  return [...parts, ...container, ...resources, ...rest].join(", ");
}

function changedKeys<T extends object>(before: T, after: T, told: readonly (keyof T)[]): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<string & keyof T>;
  return [...keys]
    .filter((key) => !told.includes(key) && !equalJson(before[key], after[key]))
    .map((key) => key.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`));
}
