import { joinPath } from "../../../lib/path.ts";
import type { Lookup } from "../source-file.ts";
import type { Variables } from "./env-file.ts";
import type { Asker, Loader } from "./loader.ts";

export interface EnvFilesOptions {
  /** In order: a later file wins. */
  paths: readonly string[];
  /** Where `.env` is looked for when `paths` is empty. */
  directory: string;
  /** What wins over all files. */
  first: Lookup;
  asker: Asker;
}

/** The variables of `first`, then those of the env files. */
export function lookupWithEnvFiles(options: EnvFilesOptions, loader: Loader): Lookup {
  const { paths, directory, first, asker } = options;
  const open = { directory, lookup: first, asker };
  const read =
    paths.length > 0
      ? paths.map((path) => loader.envFile(path, open))
      : [loader.envFile(joinPath(directory, ".env"), { ...open, optional: true })];
  const found: Variables = new Map();
  for (const variables of read) {
    for (const [name, value] of variables ?? []) found.set(name, value);
  }
  if (found.size === 0) return first;
  return (name) => first(name) ?? found.get(name);
}

/** The variables of a plain object, which may come from anywhere. */
export function lookupIn(environment: Readonly<Record<string, string>>): Lookup {
  return (name) => (Object.hasOwn(environment, name) ? environment[name] : undefined);
}
