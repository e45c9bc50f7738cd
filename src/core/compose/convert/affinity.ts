import { nearest } from "../../../lib/text.ts";
import { formatServiceName, SERVICE_NAME_PATTERN } from "../../../model/names.ts";
import type { Affinity } from "../../../model/service.ts";
import { isKnownKey } from "./constraints.ts";
import type { Cursor } from "./cursor.ts";
import { networkOwnerOf } from "./network.ts";

const AFFINITY_MAX = 16;

/**
 * `x-orchd.affinity`: near to the tasks of a service, or apart from them. A service without a stack
 * is of the same one; whether it is there is `convertStack`'s to say.
 */
export function affinityOf(service: Cursor, stack: string): Affinity[] {
  const list = service.get("x-orchd")?.get("affinity");
  const items = list?.items() ?? [];
  if (items.length > AFFINITY_MAX) list?.error(`has more than ${AFFINITY_MAX} items`);
  const all = items.slice(0, AFFINITY_MAX).flatMap((item) => ruleOf(item, stack) ?? []);
  for (const [i, rule] of all.entries()) {
    const opposite = all.slice(0, i).some((other) => isOpposite(rule, other));
    if (opposite) list?.error(`asks to be near to ${rule.service} and apart from it as well`);
  }
  return [...all, ...ownerOf(service, stack)];
}

/** Tasks that share the network of another service's are where that one's are. */
function ownerOf(service: Cursor, stack: string): Affinity[] {
  const owner = networkOwnerOf(service);
  if (owner === undefined) return [];
  const name = formatServiceName(stack, owner);
  return [{ service: name, relation: "near", key: "node.id", required: true }];
}

function isOpposite(a: Affinity, b: Affinity): boolean {
  const isSame = a.service === b.service && a.key === b.key;
  return isSame && a.relation !== b.relation && a.required && b.required;
}

function ruleOf(item: Cursor, stack: string): Affinity | undefined {
  const named = item.get("service");
  const relation = item.get("relation")?.text();
  const keyAt = item.get("key");
  const key = keyAt?.text()?.trim() ?? "node.id";
  const name = named?.parsed(parseService, "must be SERVICE or STACK/SERVICE");
  if (keyAt !== undefined && !isKnownKey(key, keyAt)) return undefined;
  if (name === undefined || (relation !== "near" && relation !== "apart")) return undefined;
  const service = name.includes("/") ? name : formatServiceName(stack, name);
  return { service, relation, key, required: item.get("required")?.flag() ?? false };
}

function parseService(text: string): string | undefined {
  const parts = text.split("/");
  const isValid = parts.length <= 2 && parts.every((part) => SERVICE_NAME_PATTERN.test(part));
  return isValid ? text : undefined;
}

/** What `affinity` names without a stack has to be a service of this file. */
export function refuseUnknownAffinity(all: readonly [string, Cursor][]): void {
  const names = new Set(all.map(([name]) => name));
  for (const [, service] of all) {
    for (const item of service.get("x-orchd")?.get("affinity")?.items() ?? []) {
      const named = item.get("service");
      const name = named?.text() ?? "";
      if (named === undefined || name.includes("/") || names.has(name)) continue;
      if (parseService(name) === undefined || named.findings.incomplete) continue;
      const guess = nearest(name, names);
      const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
      named.error(`names no service of this file${hint}`);
    }
  }
}
