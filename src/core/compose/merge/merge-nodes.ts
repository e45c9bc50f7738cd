import type { Budget } from "../budget.ts";
import type { MapShape, MergeRule, Shape } from "../properties/shape.ts";
import { isNull, listNode, mapNode } from "../yaml/tree.ts";
import type { Entry, ListNode, MapNode, Node } from "../yaml/tree.ts";
import { normalForm } from "./written-otherwise.ts";

/**
 * What two files say together, the later one over the earlier one, by the Compose Specification's
 * rules: mappings join, lists append, a list whose items have a key holds each key once, scalars
 * are replaced, and so is what the shape says. An empty value leaves what was there.
 */
export function mergeNodes(base: Node, over: Node, shape: Shape | undefined, budget: Budget): Node {
  if (over.tag === "override") return over;
  if (shape?.merge === "replace") return isNull(over) ? base : over;
  if (isNull(over)) return base;
  const [left, right] = [normalForm(base, shape?.merge), normalForm(over, shape?.merge)];
  if (left.kind === "map" && right.kind === "map") {
    return mergeMaps(left, right, { map: shape?.map, rule: shape?.merge, budget });
  }
  if (left.kind === "list" && right.kind === "list") return mergeLists(left, right, shape, budget);
  return over;
}

interface MapRules {
  map: MapShape | undefined;
  rule: MergeRule | undefined;
  budget: Budget;
}

function mergeMaps(base: MapNode, over: MapNode, { map, rule, budget }: MapRules): Node {
  if (!budget.takeNodes(base.entries.size + over.entries.size, over.at)) return over;
  const entries = new Map<string, Entry>(base.entries);
  for (const [key, entry] of over.entries) {
    const before = entries.get(key);
    if (entry.value.tag === "reset") entries.delete(key);
    // `KEY:` without a value says something in a mapping of pairs: take it from the environment.
    else if (before === undefined || rule === "pairs") entries.set(key, entry);
    else {
      const known = Object.hasOwn(map?.properties ?? {}, key) ? map?.properties[key] : undefined;
      const shape = known?.shape ?? map?.rest;
      const value = mergeNodes(before.value, entry.value, shape, budget);
      entries.set(key, { key: value === before.value ? before.key : entry.key, value });
    }
  }
  return mapNode(over.at, entries);
}

function mergeLists(
  base: ListNode,
  over: ListNode,
  shape: Shape | undefined,
  budget: Budget,
): Node {
  if (!budget.takeNodes(base.items.length + over.items.length, over.at)) return over;
  const keyOf = shape?.list?.keyOf;
  const items = [...base.items, ...over.items];
  if (keyOf === undefined) return listNode(over.at, items);
  const byKey = new Map<string | Node, Node>();
  for (const item of items) byKey.set(keyOf(item) ?? item, item);
  return listNode(over.at, [...byKey.values()]);
}

/** The node without what `!reset` takes away where nothing earlier stood. */
export function withoutResets(node: Node): Node {
  if (node.kind === "scalar") return node;
  if (node.kind === "list") return listNode(node.at, node.items.map(withoutResets));
  const entries = new Map<string, Entry>();
  for (const [key, { key: at, value }] of node.entries) {
    if (value.tag !== "reset") entries.set(key, { key: at, value: withoutResets(value) });
  }
  return mapNode(node.at, entries);
}
