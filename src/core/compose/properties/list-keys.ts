import { normalisePath } from "../../../lib/path.ts";
import { valueAt, type Node } from "../yaml/tree.ts";

/** What tells the items of a list apart when files are merged. Items without a key always stay. */

function fieldText(item: Node, name: string): string {
  const value = valueAt(item, name);
  return value?.kind === "scalar" ? value.text : "";
}

/** Address, published and target port, and protocol. */
export function portKey(item: Node): string | undefined {
  if (item.kind === "scalar") return item.text;
  if (item.kind !== "map") return undefined;
  const [host, published, target] = ["host_ip", "published", "target"].map((name) =>
    fieldText(item, name),
  );
  const protocol = fieldText(item, "protocol") || "tcp";
  const suffix = protocol === "tcp" ? "" : `/${protocol}`;
  return [host, published, target].filter((part) => part !== "").join(":") + suffix;
}

/** The path within the container. */
export function mountKey(item: Node): string | undefined {
  if (item.kind === "map") return normalisePath(fieldText(item, "target"));
  if (item.kind !== "scalar") return undefined;
  const parts = item.text.split(":");
  return normalisePath((parts.length === 1 ? parts[0] : parts[1]) ?? "");
}

/** The device's path within the container. */
export function deviceKey(item: Node): string | undefined {
  if (item.kind === "map") return fieldText(item, "target") || fieldText(item, "source");
  return mountKey(item);
}

/** Where a config or secret appears in the container. */
export function grantKey(item: Node): string | undefined {
  if (item.kind === "map") return fieldText(item, "target") || fieldText(item, "source");
  return item.kind === "scalar" ? item.text : undefined;
}

export function envFileKey(item: Node): string | undefined {
  if (item.kind === "map") return fieldText(item, "path");
  return item.kind === "scalar" ? item.text : undefined;
}
