import {
  expandTemplate,
  hasActions,
  parseTemplate,
  type Expression,
  type Field,
} from "../lib/go-template.ts";
import { compareText } from "../lib/order.ts";
import type { Parsed } from "../lib/parsed.ts";

/** What a template is told of the task that it is filled in for. Names are those of Swarm. */
export interface TemplateContext {
  service: { id: string; name: string; labels: Readonly<Record<string, string>> };
  node: { id: string; hostname: string; os: string; architecture: string };
  task: { id: string; name: string; slot: string };
}

/** What only the content of a config or secret may ask for; each names what it lacks. */
export interface ContentSources {
  env(name: string): string;
  secret(target: string): Parsed<string>;
  config(target: string): Parsed<string>;
}

/** Where a template stands: in the spec of a container, or in the content of an item. */
export type TemplatePlace = "spec" | "content";

type Value = string | Readonly<Record<string, string>>;

const FIELDS: Readonly<Record<string, (context: TemplateContext) => Value>> = {
  "Service.ID": ({ service }) => service.id,
  "Service.Name": ({ service }) => service.name,
  "Service.Labels": ({ service }) => service.labels,
  "Node.ID": ({ node }) => node.id,
  "Node.Hostname": ({ node }) => node.hostname,
  "Node.Platform.OS": ({ node }) => node.os,
  "Node.Platform.Architecture": ({ node }) => node.architecture,
  "Task.ID": ({ task }) => task.id,
  "Task.Name": ({ task }) => task.name,
  "Task.Slot": ({ task }) => task.slot,
};
const LABELS = "Service.Labels";
const CONTENT_FUNCTIONS = new Set(["env", "secret", "config"]);
/** Characters of a value that was expanded: as many as a plain one may have. */
const VALUE_LENGTH_MAX = 32_768;
/** Characters of a content that was expanded. */
export const EXPANDED_LENGTH_MAX = 1000 * 1024;
const KNOWN = Object.keys(FIELDS)
  .map((name) => `.${name}`)
  .join(", ");
const SHOWN_MAX = 60;

/**
 * What is wrong with a template, as far as the text alone tells it: one sentence without its full
 * stop; undefined for nothing.
 */
export function templateProblem(text: string, place: TemplatePlace): string | undefined {
  if (!hasActions(text)) return undefined;
  const parsed = parseTemplate(text);
  if (!parsed.ok) return parsed.problem;
  for (const part of parsed.value.parts) {
    const problem = typeof part === "string" ? undefined : expressionProblem(part, place);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The same for the content of an item, which may be any bytes. */
export function contentTemplateProblem(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return templateProblem(text, "content");
  } catch {
    // Bytes that are no text.
    return "is not text in UTF-8";
  }
}

/** Fills in a value of a container's spec. */
export function expandValue(text: string, context: TemplateContext): Parsed<string> {
  return expand(text, "spec", VALUE_LENGTH_MAX, (part) => valueOf(part, context));
}

/** Fills in the content of an item. */
export function expandContent(
  text: string,
  context: TemplateContext,
  sources: ContentSources,
): Parsed<string> {
  return expand(text, "content", EXPANDED_LENGTH_MAX, (part) => {
    if (part.type === "field" || part.name === "index") return valueOf(part, context);
    const asked = argumentOf(part.args[0], context);
    if (!asked.ok) return asked;
    if (part.name === "env") return { ok: true, value: sources.env(asked.value) };
    return part.name === "secret" ? sources.secret(asked.value) : sources.config(asked.value);
  });
}

function expand(
  text: string,
  place: TemplatePlace,
  lengthMax: number,
  value: (part: Expression) => Parsed<string>,
): Parsed<string> {
  if (!hasActions(text)) return { ok: true, value: text };
  const problem = templateProblem(text, place);
  if (problem !== undefined) return { ok: false, problem };
  const parsed = parseTemplate(text);
  return parsed.ok ? expandTemplate(parsed.value, value, lengthMax) : parsed;
}

function expressionProblem(part: Expression, place: TemplatePlace): string | undefined {
  if (part.type === "field") return fieldProblem(part);
  const { name, args } = part;
  for (const arg of args) {
    const problem = typeof arg === "string" ? undefined : fieldProblem(arg);
    if (problem !== undefined) return problem;
  }
  if (name === "index") {
    const [labels, key] = args;
    const isLabels = typeof labels === "object" && labels.path.join(".") === LABELS;
    if (args.length === 2 && isLabels && typeof key === "string") return undefined;
    return 'uses index otherwise than as {{index .Service.Labels "KEY"}}';
  }
  if (!CONTENT_FUNCTIONS.has(name)) {
    const known = "index is, and in contents env, secret and config";
    return `uses ${shown(name)}, which is not supported: ${known}`;
  }
  if (place === "spec") {
    return `uses ${name}, which only the content of a config or secret with template_driver can`;
  }
  return args.length === 1 ? undefined : `uses ${name} otherwise than as {{${name} "NAME"}}`;
}

function fieldProblem({ path }: Field): string | undefined {
  const name = path.join(".");
  if (Object.hasOwn(FIELDS, name) || isLabel(path)) return undefined;
  return `names .${shown(name)}, which is not known; known are ${KNOWN}`;
}

/** `.Service.Labels.zone` is the label `zone`. */
function isLabel(path: readonly string[]): boolean {
  return path.length === 3 && path.slice(0, 2).join(".") === LABELS;
}

function shown(name: string): string {
  return name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name;
}

function valueOf(part: Expression, context: TemplateContext): Parsed<string> {
  if (part.type === "field") return { ok: true, value: fieldText(part, context) };
  const [, key] = part.args;
  const { labels } = context.service;
  const label = typeof key === "string" && Object.hasOwn(labels, key) ? labels[key] : undefined;
  // As in Go, a key that the map lacks has the empty value.
  return { ok: true, value: label ?? "" };
}

function argumentOf(arg: string | Field | undefined, context: TemplateContext): Parsed<string> {
  if (arg === undefined) return { ok: false, problem: "uses a function without its argument" };
  return { ok: true, value: typeof arg === "string" ? arg : fieldText(arg, context) };
}

function fieldText({ path }: Field, context: TemplateContext): string {
  if (isLabel(path)) {
    const { labels } = context.service;
    const key = path[2] ?? "";
    // What Go prints for it.
    return (Object.hasOwn(labels, key) ? labels[key] : undefined) ?? "<no value>";
  }
  const value = FIELDS[path.join(".")]?.(context) ?? "";
  return typeof value === "string" ? value : formatMap(value);
}

/** As Go prints a map: `map[a:1 b:2]`. */
function formatMap(map: Readonly<Record<string, string>>): string {
  const entries = Object.entries(map).sort(([a], [b]) => compareText(a, b));
  return `map[${entries.map(([key, value]) => `${key}:${value}`).join(" ")}]`;
}
