import { nearest } from "../../../lib/text.ts";
import { CONSTRAINT_KEYS } from "../../../model/constraint.ts";
import type { Constraint, Placement } from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import type { Cursor } from "./cursor.ts";
import { normaliseArchitecture } from "./image.ts";

const CONSTRAINTS_MAX = 64;
const PREFERENCES_MAX = 16;
const LABEL_KEY = /^node\.labels\.[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,200}[a-zA-Z0-9])?$/;

/** Roles by the names that Swarm has for them. */
const ROLES: Record<string, string> = {
  manager: "server",
  worker: "agent",
  server: "server",
  agent: "agent",
};

export function placementOf(service: Cursor): Placement {
  const placement = service.get("deploy")?.get("placement");
  const constraints = placement?.get("constraints");
  const preferences = placement?.get("preferences");
  return {
    constraints: bounded(constraints, CONSTRAINTS_MAX).flatMap((item) => constraintOf(item) ?? []),
    spread: bounded(preferences, PREFERENCES_MAX).flatMap((item) => spreadOf(item) ?? []),
    maxReplicasPerNode: placement?.get("max_replicas_per_node")?.integer(0) ?? 0,
  };
}

function bounded(list: Cursor | undefined, max: number): Cursor[] {
  const items = list?.items() ?? [];
  if (items.length <= max) return items;
  list?.error(`has more than ${max} items`);
  return [];
}

/** `node.labels.zone == north`, with or without blanks. */
function constraintOf(item: Cursor): Constraint | undefined {
  const text = item.text() ?? "";
  const [, key, operator, rest = ""] = /^([^\s=!]+)\s*(==|!=)(.*)$/s.exec(text.trim()) ?? [];
  const value = rest.trim();
  if (key === undefined) {
    const hint = text.includes("=")
      ? "the operator is == or !="
      : "such as node.labels.zone == north";
    return item.error(`must be KEY == VALUE or KEY != VALUE, not ${quoted(text)}: ${hint}`);
  }
  if (!isKnownKey(key, item)) return undefined;
  if (value === "" || value.length > 255) {
    return item.error(`needs a value after ${operator ?? ""}, of at most 255 characters`);
  }
  const normal = valueOf(key, value, item);
  if (normal === undefined) return undefined;
  return { key, operator: operator === "==" ? "==" : "!=", value: normal };
}

function isKnownKey(key: string, item: Cursor): boolean {
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

function valueOf(key: string, value: string, item: Cursor): string | undefined {
  if (key === "node.platform.arch") return normaliseArchitecture(value);
  if (key !== "node.role") return value;
  const role = value.toLowerCase();
  if (Object.hasOwn(ROLES, role)) return ROLES[role];
  return item.error(`has the role ${quoted(value)}; roles are server and agent`);
}

function spreadOf(item: Cursor): string | undefined {
  const spread = item.get("spread");
  const key = spread?.text()?.trim();
  if (spread === undefined || key === undefined) {
    return item.has("spread") ? undefined : item.error("needs spread");
  }
  return isKnownKey(key, spread) ? key : undefined;
}
