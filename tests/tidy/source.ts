import { parseSync, type Node, type Program } from "oxc-parser";

/** One file of the project, read and, when it is code, parsed. */
export interface Source {
  /** From the project's root: `src/lib/ids.ts`. */
  path: string;
  text: string;
  program: Program | undefined;
}

/** A place where a rule is broken. */
export interface Breach {
  path: string;
  line: number;
  message: string;
}

export function parseSource(path: string, text: string): Source {
  if (!path.endsWith(".ts") && !path.endsWith(".tsx")) return { path, text, program: undefined };
  const { program, errors } = parseSync(path, text);
  const error = errors[0];
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`);
  return { path, text, program };
}

/** The line, from 1, on which a position stands. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

/** Calls `visit` for each node of the tree, parents first. */
export function walk(program: Program, visit: (node: Node, parent: Node | undefined) => void) {
  const step = (value: unknown, parent: Node | undefined) => {
    if (Array.isArray(value)) {
      for (const item of value) step(item, parent);
      return;
    }
    if (!isNode(value)) return;
    visit(value, parent);
    for (const child of Object.values(value)) {
      if (typeof child === "object" && child !== null) step(child, value);
    }
  };
  step(program, undefined);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** Whether the path is one of the three pure bands. */
export function isPure(path: string): boolean {
  return /^src\/(lib|model|core)\//.test(path) && path.endsWith(".ts");
}
