import { isMap, isScalar } from "yaml";
import { lastSegmentOf } from "../../../lib/path.ts";
import { NAME_PATTERN } from "../../../model/names.ts";
import { interpolate } from "../interpolate.ts";
import { quoted, type ProblemList } from "../problem.ts";
import type { Lookup } from "../source-file.ts";
import type { YamlContents } from "../yaml/parse-yaml.ts";
import type { Node } from "../yaml/tree.ts";

export interface NameSources {
  /** `--name` */
  given: string | undefined;
  /** `name:` of the last file that has one. */
  node: Node | undefined;
  lookup: Lookup;
  projectDirectory: string;
}

const VARIABLE = "COMPOSE_PROJECT_NAME";
const RULE =
  "is no name for a stack: use 1 to 63 lower-case letters, digits, '-' or '_', with a letter or " +
  "digit at both ends";

/** The name of the stack; an invalid one is a problem, and becomes the nearest valid one. */
export function stackNameOf(sources: NameSources, problems: ProblemList): string {
  const { given, node, lookup, projectDirectory } = sources;
  if (given !== undefined) return checked(given, () => problems.outside("--name", refusal(given)));
  if (node?.kind === "scalar" && typeof node.value === "string") {
    const { text, at } = node;
    return checked(text, () => problems.error(at, "name", `name: ${refusal(text)}`));
  }
  const variable = lookup(VARIABLE);
  if (variable !== undefined && variable !== "") {
    return checked(variable, () => problems.outside(VARIABLE, refusal(variable)));
  }
  const name = normaliseName(lastSegmentOf(projectDirectory));
  if (name !== "") return name;
  const hint = "give the stack a name with --name, or name: in the file";
  problems.outside(projectDirectory, `the directory's name has no letter or digit; ${hint}`);
  return "stack";
}

function checked(name: string, refuse: () => void): string {
  if (NAME_PATTERN.test(name)) return name;
  refuse();
  return normaliseName(name) || "stack";
}

function refusal(name: string): string {
  return `${quoted(name)} ${RULE}`;
}

/** What remains of a text that is a name: `My Shop.v2` becomes `myshopv2`. */
export function normaliseName(text: string): string {
  const kept = text.toLowerCase().replace(/[^a-z0-9_-]/g, "");
  return kept
    .replace(/^[_-]+/, "")
    .slice(0, 63)
    .replace(/[_-]+$/, "");
}

/** `name:` as the files say it, before anything is interpolated with it. */
export function writtenNameOf(
  contents: readonly (YamlContents | undefined)[],
  lookup: Lookup,
): string | undefined {
  for (const content of contents.toReversed()) {
    if (!isMap(content)) continue;
    const value = content.items.find(({ key }) => isScalar(key) && key.value === "name")?.value;
    // Problems with it are told when the whole file is interpolated.
    if (isScalar(value)) return interpolate(String(value.value), lookup, () => {});
  }
  return undefined;
}
