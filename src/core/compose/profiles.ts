import type { Lookup } from "./source-file.ts";
import { valueAt, type MapNode, type Node } from "./yaml/tree.ts";

/**
 * Services that stay out: they have profiles, and none of them is chosen.
 * @param chosen profiles; `*` is all of them, and none leaves it to `COMPOSE_PROFILES`
 */
export function inactiveServices(
  root: MapNode,
  chosen: readonly string[],
  lookup: Lookup,
): ReadonlySet<Node> {
  const fromVariable = (lookup("COMPOSE_PROFILES") ?? "").split(",").map((name) => name.trim());
  const active = new Set(chosen.length > 0 ? chosen : fromVariable);
  const inactive = new Set<Node>();
  const services = valueAt(root, "services");
  if (services?.kind !== "map" || active.has("*")) return inactive;
  for (const { value } of services.entries.values()) {
    const profiles = valueAt(value, "profiles");
    if (profiles?.kind !== "list" || profiles.items.length === 0) continue;
    const isChosen = profiles.items.some((item) => item.kind === "scalar" && active.has(item.text));
    if (!isChosen) inactive.add(value);
  }
  return inactive;
}
