import { nearest } from "../../lib/text.ts";
import type { Findings } from "./findings.ts";
import { childPath, quoted } from "./problem.ts";
import { deploy } from "./properties/deploy.ts";
import type { MapShape, Property, ScalarType, Shape, Status } from "./properties/shape.ts";
import type { Entry, MapNode, Node, ScalarNode } from "./yaml/tree.ts";

export interface ValidateOptions {
  findings: Findings;
  /** Services that no chosen profile has. */
  inactive: ReadonlySet<Node>;
}

/** Holds a tree against a shape: unknown properties, wrong types, what has another meaning. */
export function validate(node: Node, shape: Shape, options: ValidateOptions): void {
  new Validation(options).check(node, shape, "", "honoured");
}

/** Holds the keys of a mapping alone against a shape. */
export function validateKeys(node: MapNode, shape: MapShape, findings: Findings): void {
  for (const [key, entry] of node.entries) {
    if (key.startsWith("x-") && key !== "x-orchd") continue;
    if (!Object.hasOwn(shape.properties, key)) refuseUnknown(key, entry, { shape, findings });
  }
}

class Validation {
  readonly #findings: Findings;
  readonly #inactive: ReadonlySet<Node>;

  constructor({ findings, inactive }: ValidateOptions) {
    this.#findings = findings;
    this.#inactive = inactive;
  }

  check(node: Node, shape: Shape, path: string, inherited: Status): void {
    if (this.#findings.bad.has(node)) return;
    const { map, list } = shape;
    if (node.kind === "map" && map !== undefined) return this.#checkMap(node, map, path, inherited);
    if (node.kind === "list" && list !== undefined) {
      node.items.forEach((item, i) => this.check(item, list.item, `${path}[${i}]`, inherited));
      return;
    }
    const message = node.kind === "scalar" ? wrongScalar(node, shape) : wrongKind(node, shape);
    if (message !== undefined) this.#refuse(node, path, message);
  }

  #refuse(node: Node, path: string, message: string): void {
    this.#findings.bad.add(node);
    this.#findings.problems.error(node.at, path, `${path || "the file"} ${message}`);
  }

  #checkMap(node: MapNode, shape: MapShape, path: string, inherited: Status): void {
    for (const [key, entry] of node.entries) {
      const child = childPath(path, key);
      const property = Object.hasOwn(shape.properties, key) ? shape.properties[key] : undefined;
      if (property !== undefined) this.#checkProperty(entry, property, child, inherited);
      else if (shape.rest !== undefined) this.#checkRest(entry.value, shape.rest, child, inherited);
      else if (key === "x-orchd" && shape.extension !== undefined) {
        this.#checkProperty(entry, { shape: shape.extension, note: "" }, child, inherited);
      } else if (key.startsWith("x-") && key !== "x-orchd") {
        this.#findings.use(entry.key, child, "honoured", "is for other tools; it is left alone");
      } else refuseUnknown(key, entry, { shape, findings: this.#findings, path });
    }
    const missing = shape.required?.filter((key) => !node.entries.has(key)) ?? [];
    if (missing.length > 0) this.#refuse(node, path, `needs ${missing.join(" and ")}`);
  }

  #checkRest(node: Node, shape: Shape, path: string, inherited: Status): void {
    const wasMuted = this.#findings.muted;
    this.#findings.muted ||= this.#inactive.has(node);
    this.check(node, shape, path, inherited);
    this.#findings.muted = wasMuted;
  }

  #checkProperty(entry: Entry, property: Property, path: string, inherited: Status): void {
    const { shape, note, unless } = property;
    const status = worse(property.status ?? "honoured", inherited);
    const idle = (unless ?? (() => false))(entry.value) || asksForNothing(entry.value);
    if (status === "honoured" || (idle && status !== inherited)) {
      this.#findings.use(entry.key, path, "honoured", "");
    } else if (status !== inherited) this.#findings.use(entry.key, path, status, note);
    if (status === "refused") {
      this.#findings.bad.add(entry.value);
      return;
    }
    this.check(entry.value, shape, path, status);
  }
}

const SEVERITY: Record<Status, number> = { honoured: 0, warned: 1, refused: 2 };

function worse(a: Status, b: Status): Status {
  return SEVERITY[a] >= SEVERITY[b] ? a : b;
}

/** Nothing, `false`, and a list or mapping without content change nothing where they stand. */
function asksForNothing(node: Node): boolean {
  if (node.kind === "scalar") return node.value === null || node.value === false;
  return node.kind === "list" ? node.items.length === 0 : node.entries.size === 0;
}

interface UnknownContext {
  shape: MapShape;
  findings: Findings;
  path?: string;
}

function refuseUnknown(key: string, entry: Entry, context: UnknownContext): void {
  const { shape, findings, path = "" } = context;
  const child = childPath(path, key);
  findings.bad.add(entry.value);
  if (key === "x-orchd") {
    const message = `${child} is in the wrong place; it belongs under a service`;
    return findings.problems.error(entry.key, child, message);
  }
  const message = `${child} is not a property of ${shape.noun}${hintFor(key, shape)}`;
  findings.problems.error(entry.key, child, message);
}

function hintFor(key: string, shape: MapShape): string {
  const known = Object.keys(shape.properties);
  const lower = key.toLowerCase();
  const begins = known.filter((name) => lower.length >= 3 && name.startsWith(lower));
  const guess = nearest(lower, known) ?? (begins.length === 1 ? begins[0] : undefined);
  if (guess !== undefined) return `; did you mean ${guess}?`;
  const inDeploy =
    shape.noun === "a service" && Object.hasOwn(deploy.shape.map?.properties ?? {}, key);
  return inDeploy ? "; it belongs under deploy" : "";
}

/** Why a scalar does not fit, in words that follow its path. */
function wrongScalar(node: ScalarNode, shape: Shape): string | undefined {
  if (isAnything(shape)) return undefined;
  const { types = [], values } = shape.scalar ?? {};
  const actual = typeOf(node);
  if (!types.includes(actual) && !(actual === "integer" && types.includes("number"))) {
    return wrongType(node, shape, actual);
  }
  if (values === undefined || values.includes(node.text)) return undefined;
  const guess = nearest(node.text, values);
  const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
  return `must be ${joinOr(values)}, not ${quoted(node.text)}${hint}`;
}

function wrongType(node: ScalarNode, shape: Shape, actual: ScalarType): string | undefined {
  const types = shape.scalar?.types ?? [];
  if (actual === "string" && types.some((type) => parsesAs(node.text, type))) return undefined;
  if (actual === "null") return "is empty; give it a value or remove it";
  if (types.every((type) => type === "string" || type === "null") && actual !== "string") {
    return `must be text; put it in quotes: "${node.text}"`;
  }
  return `must be ${describe(shape)}, not ${quoted(node.text)}`;
}

function wrongKind(node: Node, shape: Shape): string | undefined {
  if (isAnything(shape)) return undefined;
  return `must be ${describe(shape)}, not a ${node.kind === "map" ? "mapping" : "list"}`;
}

function isAnything(shape: Shape): boolean {
  return shape.scalar === undefined && shape.list === undefined && shape.map === undefined;
}

function typeOf({ value }: ScalarNode): ScalarType {
  if (value === null) return "null";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value === "boolean" ? "boolean" : "string";
}

/** Whether text, such as what interpolation made, stands for a value of another type. */
function parsesAs(text: string, type: ScalarType): boolean {
  if (type === "boolean") return text === "true" || text === "false";
  if (type === "integer") return /^[+-]?\d{1,15}$/.test(text);
  return type === "number" && /^[+-]?\d{1,15}(\.\d{1,15})?$/.test(text);
}

const TYPE_WORDS: Record<ScalarType, string> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "",
};

function describe({ scalar, list, map }: Shape): string {
  // Where a number or a truth value may be given as text, saying so would only confuse.
  const types = scalar?.types.filter((type) => type !== "null") ?? [];
  const shown = types.length > 1 ? types.filter((type) => type !== "string") : types;
  const words = shown.map((type) => TYPE_WORDS[type]);
  if (list !== undefined) words.push("a list");
  if (map !== undefined) words.push("a mapping");
  return joinOr(words);
}

function joinOr(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`;
}
