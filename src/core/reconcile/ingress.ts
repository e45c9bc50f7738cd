import { sortedBy } from "../../lib/order.ts";
import { keyOfRule } from "../../model/ingress-rule.ts";
import { formatServiceName } from "../../model/names.ts";
import { specOf, type ServiceSpec } from "../../model/service.ts";
import type { View } from "../../model/view.ts";

/**
 * Why services of a stack can't have their rules, one sentence each: others have them already, or a
 * service publishes the port on which nodes take requests.
 */
export function problemsOfRules(
  view: View,
  stack: string,
  services: Readonly<Record<string, ServiceSpec>>,
): string[] {
  return [...rulesOfOthers(view, stack, services), ...portsInTheWay(view, stack, services)];
}

function rulesOfOthers(
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

/**
 * A published port is taken from packets before any program has them, so requests for rules would
 * go to the wrong service.
 */
function portsInTheWay(
  view: View,
  stack: string,
  services: Readonly<Record<string, ServiceSpec>>,
): string[] {
  const others = [...view.services.values()].filter(
    (one) => one.stack !== stack || !Object.hasOwn(services, one.name),
  );
  const all: [name: string, spec: ServiceSpec][] = [
    ...others.map((one): [string, ServiceSpec] => [
      formatServiceName(one.stack, one.name),
      specOf(one),
    ]),
    ...Object.entries(services).map(([name, spec]): [string, ServiceSpec] => [
      formatServiceName(stack, name),
      spec,
    ]),
  ];
  const rules = all.flatMap(([, { ingress = [] }]) => ingress);
  if (rules.length === 0) return [];
  const needsHttps = rules.some(({ tls }) => tls !== "off");
  const taken = new Set<number>();
  for (const { ingress } of view.nodes.values()) {
    taken.add(ingress?.http ?? 0);
    if (needsHttps) taken.add(ingress?.https ?? 0);
  }
  return all.flatMap(([name, { ports }]) =>
    ports
      .filter(({ published, protocol }) => protocol === "tcp" && published > 0)
      .filter(({ published }) => taken.has(published))
      .map(
        ({ published }) =>
          `${name} can't publish port ${published}/tcp while nodes take requests for ` +
          "x-orchd.ingress on it: publish another port, or see --ingress-http and --ingress-https",
      ),
  );
}
