import type { IngressRule } from "./ingress-rule.ts";
import type { Node } from "./node.ts";

type Facts = NonNullable<Node["ingress"]>;

/** Where people find a service: one address for each rule. */
export function ingressUrls(
  rules: readonly IngressRule[] | undefined,
  nodes: Iterable<Pick<Node, "ingress">>,
): string[] {
  if (rules === undefined || rules.length === 0) return [];
  const facts = [...nodes].flatMap(({ ingress }) => ingress ?? []);
  return rules.map(({ host, path, tls }) => {
    const scheme = tls === "off" ? "http" : "https";
    return `${scheme}://${host}${portOf(facts, scheme)}${path}`;
  });
}

/** Nothing where the nodes take requests on the usual port, or not on the same one. */
function portOf(facts: readonly Facts[], scheme: "http" | "https"): string {
  const ports = new Set(facts.map((one) => one[scheme]).filter((port) => port > 0));
  const [port] = ports;
  const usual = scheme === "http" ? 80 : 443;
  return ports.size !== 1 || port === undefined || port === usual ? "" : `:${port}`;
}
