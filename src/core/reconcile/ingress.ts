import { sortedBy } from "../../lib/order.ts";
import { keyOfRule } from "../../model/ingress-rule.ts";
import { formatServiceName } from "../../model/names.ts";
import { specOf, type ServiceSpec } from "../../model/service.ts";
import type { View } from "../../model/view.ts";

/** Why services of a stack can't have their rules, one sentence each: others have them already. */
export function problemsOfRules(
  view: View,
  stack: string,
  services: Readonly<Record<string, ServiceSpec>>,
): string[] {
  const wanted = sortedBy(Object.entries(services), ([name]) => name).filter(
    ([, { ingress = [] }]) => ingress.length > 0,
  );
  // Most stacks have none, and then nobody is asked.
  if (wanted.length === 0) return [];
  const owners = new Map<string, string>();
  for (const service of view.services.values()) {
    if (service.stack === stack && Object.hasOwn(services, service.name)) continue;
    const owner = formatServiceName(service.stack, service.name);
    for (const rule of specOf(service).ingress ?? []) owners.set(keyOfRule(rule), owner);
  }
  const problems: string[] = [];
  for (const [name, { ingress = [] }] of wanted) {
    const own = formatServiceName(stack, name);
    for (const rule of ingress) {
      const key = keyOfRule(rule);
      const owner = owners.get(key) ?? own;
      if (owner !== own) problems.push(`${own} can't take ${key}: ${owner} does already`);
      owners.set(key, owner);
    }
  }
  return problems;
}
