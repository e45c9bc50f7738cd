import { parseIpRange } from "../../../lib/ip.ts";
import { nearest } from "../../../lib/text.ts";
import { parseVersion } from "../../../lib/version.ts";
import { CONSTRAINT_KEYS, parseDecimal } from "../../../model/constraint.ts";
import { CONSTRAINT_OPERATORS, type Constraint } from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import type { Cursor } from "./cursor.ts";
import { normaliseArchitecture } from "./image.ts";

type Operator = Constraint["operator"];

export const CONSTRAINTS_MAX = 64;
const LABEL_KEY = /^node\.labels\.[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,200}[a-zA-Z0-9])?$/;
const FORM = /^([^\s=!<>]+)\s*(version\s*)?([=!<>]=|[<>]|(?:in|matches)(?=\s))(.*)$/s;

/** Roles by the names that Swarm has for them. */
const ROLES: Record<string, string> = {
  manager: "server",
  worker: "agent",
  server: "server",
  agent: "agent",
};

/**
 * `node.labels.zone == north`, with or without blanks; under `x-orchd.constraints` also what
 * Compose has no operator for.
 */
export function constraintOf(item: Cursor, set: "compose" | "x-orchd"): Constraint | undefined {
  const text = item.text() ?? "";
  const [, key, version = "", sign = "", rest = ""] = FORM.exec(text.trim()) ?? [];
  const value = rest.trim();
  const operator = CONSTRAINT_OPERATORS.find((known) => known === `${version.trim()}${sign}`);
  if (key === undefined || operator === undefined) return refuseForm(item, text, set);
  if (!isKnownKey(key, item)) return undefined;
  if (set === "compose" && operator !== "==" && operator !== "!=") {
    const place = "put it under x-orchd.constraints of the service";
    return item.error(`uses ${operator}, and Compose has == and != alone: ${place}`);
  }
  if (value === "" || value.length > 255) {
    return item.error(`needs a value after ${operator}, of at most 255 characters`);
  }
  const normal = valueOf(key, operator, value, item);
  return normal === undefined ? undefined : { key, operator, value: normal };
}

function refuseForm(item: Cursor, text: string, set: "compose" | "x-orchd"): undefined {
  if (set === "x-orchd") {
    const known = "==, !=, <, <=, >, >=, in, matches and version followed by one of the first six";
    return item.error(`must be KEY OPERATOR VALUE, not ${quoted(text)}: operators are ${known}`);
  }
  const hint = text.includes("=")
    ? "the operator is == or !="
    : "such as node.labels.zone == north";
  return item.error(`must be KEY == VALUE or KEY != VALUE, not ${quoted(text)}: ${hint}`);
}

export function isKnownKey(key: string, item: Cursor): boolean {
  if (LABEL_KEY.test(key) || CONSTRAINT_KEYS.some((known) => known === key)) return true;
  if (key.startsWith("engine.labels.")) {
    item.refuse("uses engine.labels, which nodes do not have here; use node.labels");
    return false;
  }
  const guess = nearest(key, CONSTRAINT_KEYS);
  const known = `known are node.labels.NAME, ${CONSTRAINT_KEYS.join(", ")}`;
  const hint = guess === undefined ? known : `did you mean ${guess}?`;
  item.error(`has the key ${quoted(key)}, which no node has; ${hint}`);
  return false;
}

/** The value in one form, where the operator and the key can do something with it. */
function valueOf(key: string, operator: Operator, value: string, item: Cursor): string | undefined {
  if (operator === "==" || operator === "!=") return plainValueOf(key, value, item);
  if (operator === "in") return listOf(key, value, item);
  if (operator === "matches") return value;
  if (operator.startsWith("version")) {
    if (parseVersion(value) !== undefined) return value;
    return item.error(`has ${quoted(value)}, which is no version such as 1.4.0`);
  }
  if (parseDecimal(value) !== undefined) return value;
  const hint =
    parseVersion(value) === undefined ? "" : `; for versions there is version${operator}`;
  return item.error(`compares by ${operator} with ${quoted(value)}, which is no number${hint}`);
}

/** `north, south` */
function listOf(key: string, value: string, item: Cursor): string | undefined {
  const items = value.split(",").map((one) => one.trim());
  if (items.includes("")) return item.error(`has an empty item in ${quoted(value)}`);
  const normal = items.map((one) => plainValueOf(key, one, item));
  return normal.includes(undefined) ? undefined : normal.join(", ");
}

function plainValueOf(key: string, value: string, item: Cursor): string | undefined {
  if (key === "node.platform.arch") return normaliseArchitecture(value);
  if (key === "node.ip" && parseIpRange(value) === undefined) {
    return item.error(`has ${quoted(value)}, which is no address and no range like 10.0.0.0/8`);
  }
  if (key !== "node.role") return value;
  const role = value.toLowerCase();
  if (Object.hasOwn(ROLES, role)) return ROLES[role];
  return item.error(`has the role ${quoted(value)}; roles are server and agent`);
}
