import { matchesGlob } from "../lib/glob.ts";
import { isInRange, parseIpRange } from "../lib/ip.ts";
import { compareVersions, parseVersion } from "../lib/version.ts";
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
    return value === undefined || !isMet(constraint, value);
  });
}

/**
 * Whether what a node has under the constraint's key fits; what is no number, or no version, is
 * neither more nor less.
 */
export function isMet({ key, operator, value: wanted }: Constraint, value: string): boolean {
  switch (operator) {
    case "==":
      return isSame(key, value, wanted);
    case "!=":
      return !isSame(key, value, wanted);
    case "in":
      return wanted.split(",").some((item) => isSame(key, value, item.trim()));
    case "matches":
      return matchesGlob(value.toLowerCase(), wanted.toLowerCase());
    case "<":
    case "<=":
    case ">":
    case ">=":
      return isInOrder(operator, compareNumbers(value, wanted));
    case "version==":
    case "version!=":
    case "version<":
    case "version<=":
    case "version>":
    case "version>=":
      return isInOrder(operator.slice("version".length), compareAsVersions(value, wanted));
  }
}

/** Texts without regard to capitals; an address also where it lies in the range that is named. */
function isSame(key: string, value: string, wanted: string): boolean {
  if (value.toLowerCase() === wanted.toLowerCase()) return true;
  const range = key === "node.ip" ? parseIpRange(wanted) : undefined;
  return range !== undefined && isInRange(value, range);
}

/** @param order below, at or above 0; undefined where the two can't be compared */
function isInOrder(operator: string, order: number | undefined): boolean {
  if (order === undefined) return operator === "!=";
  if (operator === "!=") return order !== 0;
  if (order === 0) return operator.endsWith("=");
  return operator.startsWith(order < 0 ? "<" : ">");
}

function compareNumbers(value: string, wanted: string): number | undefined {
  const [left, right] = [parseDecimal(value), parseDecimal(wanted)];
  return left === undefined || right === undefined ? undefined : left - right;
}

function compareAsVersions(value: string, wanted: string): number | undefined {
  const [left, right] = [parseVersion(value), parseVersion(wanted)];
  return left === undefined || right === undefined ? undefined : compareVersions(left, right);
}

/** `16`, `-0.5`; undefined for any other text. */
export function parseDecimal(text: string): number | undefined {
  return /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text.trim()) ? Number(text) : undefined;
}

/** `node.labels.zone == north` */
export function formatConstraint(constraint: Constraint): string {
  return `${constraint.key} ${constraint.operator} ${constraint.value}`;
}
