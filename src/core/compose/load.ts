import type { StackSpec } from "../../model/stack.ts";
import type { ItemContent } from "./convert/items.ts";
import { convertStack } from "./convert/stack.ts";
import type { PropertyReport } from "./findings.ts";
import type { Problem } from "./problem.ts";
import { readProject } from "./project.ts";
import { inactiveServices } from "./profiles.ts";
import { root as rootShape } from "./properties/root.ts";
import { Loader, type ReadBytesResult, type ReadResult } from "./read/loader.ts";
import { validate } from "./validate.ts";

export { formatProblem } from "./problem.ts";

export interface ComposeSource {
  /** Absolute, or as problems should name it. */
  path: string;
  text: string;
}

export interface ComposeInput {
  /** The files in order: a later one is merged over the earlier ones. */
  files: ComposeSource[];
  /** Absolute: what relative paths in the files are relative to. */
  projectDirectory: string;
  /** `--name`; else the files' `name:`, `COMPOSE_PROJECT_NAME`, or the directory's name. */
  name?: string;
  /** Chosen profiles; `*` is all of them. When empty, `COMPOSE_PROFILES` chooses. */
  profiles: string[];
  /** The shell's environment; it wins over every env file. */
  environment: Record<string, string>;
  /** `--env-file`; when empty, `.env` of the project's directory if it exists. */
  envFiles: string[];
  /** Reads what the files name: `include`, `extends`, `env_file`, `label_file`, `.env`. */
  read(path: string): ReadResult;
  /** Reads the bytes of secrets and configs; absent means that none can be read. */
  readContent?(path: string): ReadBytesResult;
}

export interface ComposeResult {
  /** The stack's name; a valid one even when the given one was not. */
  name: string;
  /** Absent when any problem is an error. */
  spec?: StackSpec;
  /** What the stack's own secrets and configs hold: never a part of the spec. */
  contents: ItemContent[];
  /** All of them, by file in the order of reading, then by line. */
  problems: Problem[];
  /** What each property of the merged files means here, by place. */
  report: PropertyReport[];
}

const UNREAD: ReadBytesResult = {
  ok: false,
  reason: "unreadable",
  message: "files of secrets and configs are not read here",
};

/**
 * Turns Compose files into a stack: parses, interpolates, extends, includes, merges, validates and
 * converts. Never throws for what the files say, takes bounded time and memory whatever they hold,
 * and tells every problem with its file, line and column.
 */
export function loadCompose(input: ComposeInput): ComposeResult {
  const readContent = (path: string) => input.readContent?.(path) ?? UNREAD;
  const loader = new Loader((path) => input.read(path), readContent, input.projectDirectory);
  const { problems, findings, budget } = loader;
  const { name, root, lookup } = readProject(input, loader);
  if (root === undefined || budget.isSpent)
    return { name, contents: [], problems: problems.sorted(), report: [] };
  const inactive = inactiveServices(root, input.profiles, lookup);
  validate(root, rootShape, { findings, inactive });
  const { spec, contents } = convertStack(root, { name, inactive, loader });
  return {
    name,
    ...(problems.hasErrors ? {} : { spec }),
    contents: problems.hasErrors ? [] : contents,
    problems: problems.sorted(),
    report: findings.report(),
  };
}
