import type { MergeRule } from "../properties/shape.ts";
import { listNode, mapNode, scalarNode, type Entry, type Node } from "../yaml/tree.ts";

/** The node in the one of its two spellings in which it can be joined with another. */
export function normalForm(node: Node, rule: MergeRule | undefined): Node {
  switch (rule) {
    case "pairs":
      return asMapping(node, splitPair);
    case "hosts":
      return asMapping(node, splitHost);
    case "names":
      return asMapping(node, (text) => [text, undefined]);
    case "many":
      return node.kind === "scalar" && node.value !== null ? listNode(node.at, [node]) : node;
    case "replace":
    case undefined:
      return node;
  }
}

type Split = (text: string) => readonly [key: string, value: string | undefined];

/** A list of texts as a mapping; any other node, and a list of more than texts, as it is. */
function asMapping(node: Node, split: Split): Node {
  if (node.kind !== "list") return node;
  const entries = new Map<string, Entry>();
  for (const item of node.items) {
    if (item.kind !== "scalar") return node;
    const [key, value] = split(item.text);
    entries.set(key, { key: item.at, value: scalarNode(item.at, value ?? null) });
  }
  return mapNode(node.at, entries);
}

/** `KEY=VALUE`; without `=` there is no value. */
export function splitPair(text: string): readonly [key: string, value: string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** `HOST=ADDRESS` or `HOST:ADDRESS`, where the address may hold colons itself. */
export function splitHost(text: string): readonly [host: string, address: string | undefined] {
  const at = text.search(/[=:]/);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
