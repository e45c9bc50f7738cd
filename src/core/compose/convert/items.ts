import { joinPath } from "../../../lib/path.ts";
import { nearest } from "../../../lib/text.ts";
import {
  ITEM_NAME_PATTERN,
  ITEM_NAME_RULE,
  itemLabelsSchema,
  sizeProblem,
  STACK_ITEMS_MAX,
  type ItemKind,
  type StackItem,
} from "../../../model/item.ts";
import { contentTemplateProblem } from "../../../model/template.ts";
import { quoted } from "../problem.ts";
import type { Loader } from "../read/loader.ts";
import type { Cursor } from "./cursor.ts";
import { pairsOf } from "./pairs.ts";

/** A secret or config of the top level. */
export interface ItemDefinition {
  item: StackItem;
  /** Where it stands, and what it is taken from. */
  at: Cursor;
  source: Source | undefined;
}

interface Source {
  from: SourceKind;
  at: Cursor;
}

type SourceKind = "file" | "environment" | "content";

/** What a file declares; services mark what they use. */
export interface Items {
  byKey: ReadonlyMap<ItemKind, ReadonlyMap<string, ItemDefinition>>;
  /** Every key of the file, also of what could not be used. */
  keys: ReadonlyMap<ItemKind, ReadonlySet<string>>;
  used: Set<ItemDefinition>;
}

/** What a stack's own item holds. */
export interface ItemContent {
  kind: ItemKind;
  name: string;
  bytes: Uint8Array;
}

const KINDS = ["secret", "config"] as const;
/** From what a content can be taken. */
const SOURCES: Readonly<Record<ItemKind, readonly SourceKind[]>> = {
  secret: ["file", "environment"],
  config: ["file", "environment", "content"],
};

/** The secrets and configs that a file defines; by default named after the stack and their key. */
export function itemsOf(file: Cursor, stack: string): Items {
  const byKey = new Map<ItemKind, Map<string, ItemDefinition>>();
  const keys = new Map<ItemKind, Set<string>>();
  for (const kind of KINDS) {
    const definitions = new Map<string, ItemDefinition>();
    const entries = file.get(`${kind}s`)?.entries() ?? [];
    for (const [key, at] of entries) {
      const definition = definitionOf(kind, key, at, stack);
      if (definition !== undefined) definitions.set(key, definition);
    }
    byKey.set(kind, definitions);
    keys.set(kind, new Set(entries.map(([key]) => key)));
  }
  return { byKey, keys, used: new Set() };
}

function definitionOf(
  kind: ItemKind,
  key: string,
  at: Cursor,
  stack: string,
): ItemDefinition | undefined {
  if (!at.isMap) return undefined;
  const external = externalOf(at);
  const given = at.get("name")?.text() ?? external.name;
  const name = given ?? (external.is ? key : `${stack}_${key}`);
  if (!ITEM_NAME_PATTERN.test(name)) {
    at.errorAtKey(`has the name ${quoted(name)}; it ${ITEM_NAME_RULE}`);
    return undefined;
  }
  if (external.is) {
    for (const part of [...SOURCES[kind], "labels", "template_driver"]) {
      at.get(part)?.error(`has no effect on an external ${kind}; remove it`);
    }
    const item = { kind, name, external: true, labels: {}, isTemplate: false };
    return { item, at, source: undefined };
  }
  const source = sourceOf(kind, at);
  const isTemplate = isTemplateOf(at.get("template_driver"));
  const labels = labelsOf(at);
  return { item: { kind, name, external: false, labels, isTemplate }, at, source };
}

/** The one thing that it is taken from. */
function sourceOf(kind: ItemKind, at: Cursor): Source | undefined {
  const names = SOURCES[kind];
  const given = names.filter((name) => at.has(name));
  const [first, second] = given;
  if (first === undefined) at.errorAtKey(`needs one of ${names.join(", ")} or external: true`);
  else if (second !== undefined)
    at.get(second)?.error(`does not go with ${first}; keep one of them`);
  const source = first === undefined ? undefined : at.get(first);
  return first === undefined || source === undefined ? undefined : { from: first, at: source };
}

function isTemplateOf(driver: Cursor | undefined): boolean {
  const text = driver?.text();
  if (text === undefined || text === "golang") return text !== undefined;
  driver?.error(`must be golang, not ${quoted(text)}`);
  return false;
}

function labelsOf(at: Cursor): Record<string, string> {
  const labels = pairsOf(at.get("labels"));
  const problem = itemLabelsSchema.safeParse(labels).error?.issues[0];
  if (problem !== undefined) at.get("labels")?.error(`has labels that are too many or too long`);
  return labels;
}

function externalOf(at: Cursor): { is: boolean; name?: string } {
  const external = at.get("external");
  if (external === undefined) return { is: false };
  if (!external.isMap) return { is: external.flag() ?? false };
  const name = external.get("name")?.text();
  return name === undefined ? { is: true } : { is: true, name };
}

/** The item that a service names; undefined, with a problem told, when there is none. */
export function itemNamed(
  kind: ItemKind,
  key: string,
  at: Cursor,
  items: Items,
): ItemDefinition | undefined {
  const found = items.byKey.get(kind)?.get(key);
  const keys = items.keys.get(kind) ?? new Set<string>();
  if (found !== undefined) items.used.add(found);
  if (found !== undefined || keys.has(key) || at.findings.incomplete) return found;
  const guess = nearest(key, keys);
  const hint = guess === undefined ? "add it there" : `did you mean ${guess}?`;
  return at.error(`names the ${kind} ${quoted(key)}, which is not under ${kind}s; ${hint}`);
}

/** What the stack needs of its items: those that services use, and what they hold. */
export function declaredItems(
  items: Items,
  { loader, isWhole }: { loader: Loader; isWhole: boolean },
): { declared: StackItem[]; contents: ItemContent[] } {
  const declared: StackItem[] = [];
  const contents: ItemContent[] = [];
  for (const kind of KINDS) {
    for (const definition of items.byKey.get(kind)?.values() ?? []) {
      const { item, at } = definition;
      if (!items.used.has(definition)) {
        // A profile that is not chosen may use it.
        if (isWhole) at.warn("is used by no service, so nothing is made of it");
        continue;
      }
      declared.push(item);
      const bytes = item.external ? undefined : contentOf(definition, loader);
      if (bytes !== undefined) contents.push({ kind, name: item.name, bytes });
    }
  }
  refuseTwice(items);
  const [last] = [...items.used];
  if (declared.length > STACK_ITEMS_MAX) {
    last?.at.errorAtKey(`is one of more than ${STACK_ITEMS_MAX} secrets and configs`);
  }
  return { declared, contents };
}

/** Two keys with one name would be one item with two contents. */
function refuseTwice({ used }: Items): void {
  const seen = new Map<string, Cursor>();
  for (const { item, at } of used) {
    const name = `${item.kind} ${item.name}`;
    const other = seen.get(name);
    if (other === undefined) seen.set(name, at);
    else at.errorAtKey(`has the same name as ${other.path}: ${quoted(item.name)}`);
  }
}

function contentOf({ item, source }: ItemDefinition, loader: Loader): Uint8Array | undefined {
  if (source === undefined) return undefined;
  const bytes = bytesOf(source, loader);
  if (bytes === undefined) return undefined;
  const problem = sizeProblem(item.kind, bytes.length);
  if (problem !== undefined) return source.at.error(`holds ${bytes.length} bytes: ${problem}`);
  const fault = item.isTemplate ? contentTemplateProblem(bytes) : undefined;
  return fault === undefined ? bytes : source.at.error(`is a template that ${fault}`);
}

function bytesOf({ from, at }: Source, loader: Loader): Uint8Array | undefined {
  // It may be longer than any other value.
  if (from === "content") {
    return at.node.kind === "scalar" ? new TextEncoder().encode(at.node.text) : undefined;
  }
  const text = at.text();
  if (text === undefined) return undefined;
  if (from === "file") {
    const read = loader.content(joinPath(at.directory, text));
    if (read.ok) return read.bytes;
    return at.error(`names ${quoted(text)}, which can't be used: ${read.message}`);
  }
  const value = at.lookup(text);
  if (value !== undefined) return new TextEncoder().encode(value);
  return at.error(`takes the variable ${quoted(text)}, which is not set`);
}
