import type { Node } from "oxc-parser";
import { isPure, lineAt, walk, type Breach, type Source } from "./source.ts";

const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;
const COLUMNS_MAX = 100;

/** Names that say nothing about what a thing does. */
const EMPTY_NAMES = /(^|[-/])(utils?|helpers?|common|managers?|misc)([-./]|$)/i;

/** Names of the host that the core gets as arguments instead. */
const HOST_NAMES = new Set([
  "fetch",
  "process",
  "Bun",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "crypto",
  "performance",
  "require",
  "globalThis",
]);
/** The two files that stand for the host's clock and random source. */
const HOST_FILES = new Set(["src/lib/clock.ts", "src/lib/random.ts"]);

/** Clocks, random sources, I/O and waiting, which lib, model and core must not touch. */
export function findImpurity(source: Source): Breach[] {
  if (!isPure(source.path) || source.program === undefined) return [];
  const mayUseHost = HOST_FILES.has(source.path);
  return visit(source, (node, parent) => {
    if (isAsync(node)) return "waits: lib, model and core are synchronous";
    if (mayUseHost) return undefined;
    const name = hostNameIn(node, parent);
    return name === undefined ? undefined : `uses ${name}: take it as an argument`;
  });
}

function isAsync(node: Node): boolean {
  if (node.type === "AwaitExpression") return true;
  return "async" in node && node.async;
}

function hostNameIn(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === "NewExpression" && nameOf(node.callee) === "Date") {
    return node.arguments.length === 0 ? "new Date()" : undefined;
  }
  if (node.type === "MemberExpression" && !node.computed) {
    const name = `${nameOf(node.object) ?? ""}.${nameOf(node.property) ?? ""}`;
    return name === "Date.now" || name === "Math.random" ? name : undefined;
  }
  if (node.type !== "Identifier" || !HOST_NAMES.has(node.name)) return undefined;
  return isReference(node, parent) ? node.name : undefined;
}

/** Whether the identifier reads a variable, rather than naming a member, key or parameter. */
function isReference(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return false;
  if (parent.type === "MemberExpression") return parent.object === node || parent.computed;
  if (parent.type === "Property") return parent.value === node && !parent.method;
  return !/^(Property|Method|TS|PropertyDefinition|MethodDefinition|Import|Export)/.test(
    parent.type,
  );
}

function nameOf(node: Node): string | undefined {
  return node.type === "Identifier" ? node.name : undefined;
}

/** The type that switches types off. */
export function findAny(source: Source): Breach[] {
  return visit(source, (node) =>
    node.type === "TSAnyKeyword" ? "uses any: say what it is, or take unknown" : undefined,
  );
}

/** Default exports, which every importer names anew. Tools that insist on one are named here. */
export function findDefaultExports(source: Source): Breach[] {
  if (/^[a-z-]+\.config\.ts$/.test(source.path)) return [];
  return visit(source, (node) =>
    node.type === "ExportDefaultDeclaration" ? "has a default export" : undefined,
  );
}

/** Files that only pass on what others export. */
export function findBarrels(source: Source): Breach[] {
  const body = source.program?.body ?? [];
  const passesOn = body.filter(
    (node) =>
      node.type === "ExportAllDeclaration" ||
      (node.type === "ExportNamedDeclaration" && node.source !== null),
  );
  if (body.length === 0 || passesOn.length < body.length) return [];
  return [{ path: source.path, line: 1, message: "only passes on other files' exports" }];
}

export function findLongFunctions(source: Source): Breach[] {
  return visit(source, (node, parent) => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) {
      return undefined;
    }
    if (isSuite(parent)) return undefined;
    const text = source.text.slice(node.start, node.end);
    const lines = text.split("\n").length;
    return lines > FUNCTION_LINES_MAX
      ? `has a function of ${lines} lines; at most ${FUNCTION_LINES_MAX}`
      : undefined;
  });
}

/** `describe(…, () => {…})` and `describe.skipIf(…)(…)` hold functions rather than being one. */
function isSuite(parent: Node | undefined): boolean {
  let callee = parent?.type === "CallExpression" ? parent.callee : undefined;
  while (callee?.type === "CallExpression") callee = callee.callee;
  if (callee?.type === "MemberExpression") callee = callee.object;
  return callee !== undefined && nameOf(callee) === "describe";
}

/** Too many lines in a file, or too many columns in a line. */
export function findLongText(source: Source): Breach[] {
  if (!/\.(ts|tsx|mjs|sh)$/.test(source.path)) return [];
  const lines = source.text.replace(/\n$/, "").split("\n");
  const breaches = lines.flatMap((text, index) => {
    const columns = Array.from(text).length;
    const message = `has ${columns} columns; at most ${COLUMNS_MAX}`;
    return columns > COLUMNS_MAX ? [{ path: source.path, line: index + 1, message }] : [];
  });
  if (lines.length > FILE_LINES_MAX) {
    const message = `has ${lines.length} lines; at most ${FILE_LINES_MAX}`;
    breaches.push({ path: source.path, line: lines.length, message });
  }
  return breaches;
}

/** File names that are not kebab-case, or that say nothing. */
export function findBadNames(source: Source): Breach[] {
  const { path } = source;
  if (!/\.(ts|tsx|mjs)$/.test(path)) return [];
  if (EMPTY_NAMES.test(path)) return [{ path, line: 1, message: "has a name that says nothing" }];
  if (!/^[a-z0-9./-]+$/.test(path)) return [{ path, line: 1, message: "is not kebab-case" }];
  return [];
}

function visit(
  source: Source,
  why: (node: Node, parent: Node | undefined) => string | undefined,
): Breach[] {
  const breaches: Breach[] = [];
  if (source.program === undefined) return breaches;
  walk(source.program, (node, parent) => {
    const message = why(node, parent);
    if (message === undefined) return;
    breaches.push({ path: source.path, line: lineAt(source.text, node.start), message });
  });
  return breaches;
}
