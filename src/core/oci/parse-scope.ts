import type { Parsed } from "../../lib/parsed.ts";
import {
  type RegistryScope,
  registryActionSchema,
  type RegistryAction,
} from "../../model/registry-scope.ts";
import { parseImageReference, repositoryOf } from "./reference.ts";

const ALL: RegistryAction[] = ["pull", "push", "delete"];

/**
 * Reads a scope as people write it, in the words of Docker's token authentication:
 * `repository:NAME:pull,push,delete`, with `*` for all three. A name without a host is Docker
 * Hub's, as everywhere; one may end with `/*`, and `*` alone names every repository.
 */
export function parseRegistryScope(text: string): Parsed<RegistryScope> {
  const refused = (why: string): Parsed<RegistryScope> => ({
    ok: false,
    problem: `${JSON.stringify(text.slice(0, 300))} is no scope: ${why}`,
  });
  const [, name, list] = /^repository:(.+):([^:/]+)$/.exec(text) ?? [];
  if (name === undefined || list === undefined) {
    return refused("write it like repository:team/web:pull,push");
  }
  const actions = list === "*" ? ALL : [...new Set(list.split(","))];
  const known = actions.flatMap((one) => registryActionSchema.safeParse(one).data ?? []);
  if (known.length < actions.length) return refused("the actions are pull, push and delete");
  const repository = parsePattern(name);
  if (repository === undefined) return refused("its name is none of a repository");
  return { ok: true, value: { repository, actions: known } };
}

function parsePattern(name: string): string | undefined {
  if (name === "*") return name;
  const isBelow = name.endsWith("/*");
  const parsed = parseImageReference(isBelow ? `${name.slice(0, -2)}/x` : name);
  if (!parsed.ok || parsed.value.digest !== undefined || parsed.value.tag !== "latest") {
    return undefined;
  }
  const repository = repositoryOf(parsed.value);
  if (name.endsWith(":latest")) return undefined;
  return isBelow ? `${repository.slice(0, -1)}*` : repository;
}
