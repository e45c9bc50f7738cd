import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { OrchdError } from "../../lib/errors.ts";

/** Names under which a Compose file is found, the first one first. */
const FILE_NAMES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];

export interface FoundFiles {
  /** As a person would type them. */
  paths: string[];
  warnings: string[];
}

/**
 * The Compose file of `directory`, or of the nearest directory above that has one, and the override
 * file beside it: what `docker compose` reads when it is told no file.
 */
export function findComposeFiles(directory: string): FoundFiles {
  for (let at = directory; ; at = dirname(at)) {
    const [file, ...others] = present(at, FILE_NAMES);
    if (file !== undefined) {
      const [override, ...otherOverrides] = present(at, OVERRIDE_NAMES);
      const chosen = override === undefined ? [file] : [file, override];
      return {
        paths: chosen.map((name) => relative(directory, join(at, name))),
        warnings: [...ambiguous(file, others), ...ambiguous(override, otherOverrides)],
      };
    }
    if (at === dirname(at)) break;
  }
  throw new OrchdError(
    "invalid",
    `there is no Compose file in ${directory} or above it: name one with -f`,
  );
}

function present(directory: string, names: readonly string[]): string[] {
  return names.filter((name) => existsSync(join(directory, name)));
}

function ambiguous(chosen: string | undefined, others: readonly string[]): string[] {
  if (chosen === undefined || others.length === 0) return [];
  return [`${chosen} is used; ${others.join(" and ")} beside it is not`];
}
