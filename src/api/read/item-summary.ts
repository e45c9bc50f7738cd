import { sortedBy } from "../../lib/order.ts";
import { usersOf } from "../../core/reconcile/items.ts";
import { newestVersion, type Item, type ItemKind, type ItemSummary } from "../../model/item.ts";
import type { View } from "../../model/view.ts";

/** All items of a kind, by name. */
export function itemSummaries(view: View, kind: ItemKind): ItemSummary[] {
  const items = [...view.items.values()].filter((item) => item.kind === kind);
  return sortedBy(items, ({ name }) => name).map((item) => itemSummaryOf(view, item));
}

/** An item without its content, and without anything that tells of it. */
export function itemSummaryOf(view: View, item: Item): ItemSummary {
  const { id, kind, name, stack, labels, isTemplate, createdAt } = item;
  const { number, at, sizeBytes } = newestVersion(item);
  const versions = item.versions.map((one) => {
    return { number: one.number, at: one.at, sizeBytes: one.sizeBytes };
  });
  return {
    id,
    kind,
    name,
    ...(stack === undefined ? {} : { stack }),
    labels,
    isTemplate,
    createdAt,
    updatedAt: at,
    sizeBytes,
    number,
    versions,
    users: usersOf(view, id),
  };
}
