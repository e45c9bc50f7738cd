import type { Node } from "../yaml/tree.ts";

/** What orchd makes of a property. */
export type Status = "honoured" | "warned" | "refused";

export type ScalarType = "string" | "number" | "integer" | "boolean" | "null";

/** How a later file's value joins an earlier one, where mappings and lists do not simply join. */
export type MergeRule =
  /** The later value stands alone. */
  | "replace"
  /** A list of `KEY=VALUE` is a mapping written otherwise. */
  | "pairs"
  /** A list of `HOST:ADDRESS` is a mapping written otherwise. */
  | "hosts"
  /** A list of names is a mapping without values. */
  | "names"
  /** One value is a list of one. */
  | "many";

/** What a value may be: a scalar, a list, a mapping, or several of these. */
export interface Shape {
  readonly scalar?: { readonly types: readonly ScalarType[]; readonly values?: readonly string[] };
  readonly list?: ListShape;
  readonly map?: MapShape;
  readonly merge?: MergeRule;
}

export interface ListShape {
  readonly item: Shape;
  /** What a list holds once: of two items with the same key the later one stands. */
  readonly keyOf?: (item: Node) => string | undefined;
}

export interface MapShape {
  /** Completes "is not a property of …". */
  readonly noun: string;
  readonly properties: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
  /** What stands under keys that the writer of the file chooses. */
  readonly rest?: Shape;
  /** What stands under `x-orchd`, where it belongs. */
  readonly extension?: Shape;
}

export interface Property {
  readonly shape: Shape;
  /** Absent within a property that is warned of or refused as a whole, and within a plain one. */
  readonly status?: Status;
  /** What it means here, in words that follow the property's path. Empty for what is honoured. */
  readonly note: string;
  /** Whether this value asks for nothing that needs a warning or refusal. */
  readonly unless?: (value: Node) => boolean;
}

export function honoured(shape: Shape): Property {
  return { shape, status: "honoured", note: "" };
}

/** Accepted, with another meaning: `note` says which. */
export function warned(note: string, shape: Shape, unless?: Property["unless"]): Property {
  return { shape, status: "warned", note, ...(unless === undefined ? {} : { unless }) };
}

/** Not accepted: `note` says why, and what to do instead. */
export function refused(note: string, shape: Shape, unless?: Property["unless"]): Property {
  return { shape, status: "refused", note, ...(unless === undefined ? {} : { unless }) };
}

/** A part of a property that has its status as a whole. */
export function part(shape: Shape): Property {
  return { shape, note: "" };
}

/** Parts by name, each with the status of the whole. */
export function parts(shapes: Readonly<Record<string, Shape>>): Record<string, Property> {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, part(shape)]));
}

export function scalar(...types: ScalarType[]): Shape {
  return { scalar: { types } };
}

export function choice(...values: string[]): Shape {
  return { scalar: { types: ["string"], values } };
}

export const text = scalar("string");
export const flag = scalar("boolean", "string");
/** A whole number, which may be given as text. */
export const count = scalar("integer", "string");
/** A number, which may be given as text: `0.5`, `512m`. */
export const amount = scalar("number", "string");

export function list(item: Shape, keyOf?: ListShape["keyOf"]): Shape {
  return { list: keyOf === undefined ? { item } : { item, keyOf } };
}

/** A list that holds each text once. */
export const texts = list(text, textKey);

/** A mapping with known keys. `noun` completes "is not a property of …". */
export function mapping(
  noun: string,
  properties: Readonly<Record<string, Property>>,
  more: Pick<MapShape, "required" | "extension"> = {},
): Shape {
  return { map: { noun, properties, ...more } };
}

/** A mapping whose keys the writer of the file chooses. */
export function dictionary(rest: Shape): Shape {
  return { map: { noun: "a mapping", properties: {}, rest } };
}

/** A value that may be written in several ways. */
export function either(...shapes: Shape[]): Shape {
  return Object.assign({}, ...shapes) as Shape;
}

export function mergedBy(merge: MergeRule, shape: Shape): Shape {
  return { ...shape, merge };
}

export const oneOrMany = mergedBy("many", either(text, texts));

/** `KEY: value`, or a list of `KEY=value`. */
export const pairs = mergedBy(
  "pairs",
  either(dictionary(scalar("string", "number", "boolean", "null")), texts),
);

/** Options of a driver. */
export const options = dictionary(scalar("string", "number"));

export const command = mergedBy("replace", either(scalar("string", "null"), list(text)));

/** The text of a scalar: what a list of texts is told apart by. */
export function textKey(item: Node): string | undefined {
  return item.kind === "scalar" ? item.text : undefined;
}
