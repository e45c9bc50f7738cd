import type { Place } from "../source-file.ts";

/**
 * What a Compose file says, with the place of every part. Nodes are never changed: aliases, merge
 * keys and `extends` share them.
 */
export type Node = ScalarNode | ListNode | MapNode;

/** `!reset` takes away what earlier files said; `!override` stands instead of it. */
export type MergeTag = "reset" | "override";

export interface ScalarNode {
  readonly kind: "scalar";
  readonly at: Place;
  /** Of a string: after interpolation. */
  readonly value: string | number | boolean | null;
  /** A string's value; for others as it is written in the file, so that `1.10` stays `1.10`. */
  readonly text: string;
  readonly tag?: MergeTag;
}

export interface ListNode {
  readonly kind: "list";
  readonly at: Place;
  readonly items: readonly Node[];
  /** Nodes within, this one included, each alias counted with all that it stands for. */
  readonly size: number;
  readonly tag?: MergeTag;
}

export interface MapNode {
  readonly kind: "map";
  readonly at: Place;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly size: number;
  readonly tag?: MergeTag;
}

export interface Entry {
  readonly key: Place;
  readonly value: Node;
}

export function sizeOf(node: Node): number {
  return node.kind === "scalar" ? 1 : node.size;
}

export function scalarNode(at: Place, value: ScalarNode["value"], text?: string): ScalarNode {
  return { kind: "scalar", at, value, text: text ?? (value === null ? "" : String(value)) };
}

export function listNode(at: Place, items: readonly Node[]): ListNode {
  let size = 1;
  for (const item of items) size += sizeOf(item);
  return { kind: "list", at, items, size };
}

export function mapNode(at: Place, entries: ReadonlyMap<string, Entry>): MapNode {
  let size = 1;
  for (const entry of entries.values()) size += sizeOf(entry.value);
  return { kind: "map", at, entries, size };
}

export function isNull(node: Node): boolean {
  return node.kind === "scalar" && node.value === null;
}

/** The value under `key` of a mapping; undefined when there is none, or `node` is no mapping. */
export function valueAt(node: Node | undefined, key: string): Node | undefined {
  return node?.kind === "map" ? node.entries.get(key)?.value : undefined;
}

/** Whether two nodes say the same, wherever they stand. */
export function equalNodes(a: Node, b: Node): boolean {
  if (a === b) return true;
  if (a.kind === "scalar") return b.kind === "scalar" && a.value === b.value;
  if (a.kind === "list") {
    if (b.kind !== "list" || a.items.length !== b.items.length) return false;
    return a.items.every((item, i) => {
      const other = b.items[i];
      return other !== undefined && equalNodes(item, other);
    });
  }
  if (b.kind !== "map" || a.entries.size !== b.entries.size) return false;
  for (const [key, { value }] of a.entries) {
    const other = b.entries.get(key);
    if (other === undefined || !equalNodes(value, other.value)) return false;
  }
  return true;
}
