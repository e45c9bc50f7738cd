import type { Node } from "./node.ts";
import type { Constraint } from "./service.ts";

const LABEL_PREFIX = "node.labels.";

/** Every key that a constraint or a spread preference can name, but for labels. */
export const CONSTRAINT_KEYS = [
  "node.id",
  "node.hostname",
  "node.ip",
  "node.role",
  "node.platform.os",
  "node.platform.arch",
] as const;

/** What the node has under `key`; a label that it lacks reads as the empty text, as in Swarm. */
export function nodeValue(node: Node, key: string): string | undefined {
  if (key.startsWith(LABEL_PREFIX)) return node.labels[key.slice(LABEL_PREFIX.length)] ?? "";
  switch (key) {
    case "node.id":
      return node.id;
    case "node.hostname":
      return node.hostname;
    case "node.ip":
      return node.address;
    case "node.role":
      return node.roles.server ? "server" : "agent";
    case "node.platform.os":
      return node.platform.os;
    case "node.platform.arch":
      return node.platform.arch;
    default:
      return undefined;
  }
}

/** The first constraint that the node does not meet; an unknown key is met by no node. */
export function unmetConstraint(
  node: Node,
  constraints: readonly Constraint[],
): Constraint | undefined {
  return constraints.find((constraint) => {
    const value = nodeValue(node, constraint.key);
    if (value === undefined) return true;
    const equal = value.toLowerCase() === constraint.value.toLowerCase();
    return constraint.operator === "==" ? !equal : equal;
  });
}

/** `node.labels.zone == north` */
export function formatConstraint(constraint: Constraint): string {
  return `${constraint.key} ${constraint.operator} ${constraint.value}`;
}
