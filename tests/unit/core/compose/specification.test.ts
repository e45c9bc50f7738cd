import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sortedBy } from "../../../../src/lib/order.ts";
import { root } from "../../../../src/core/compose/properties/root.ts";
import { pathsOfSchema, pathsOfShape, statusesOf, type Paths } from "./schema-paths.ts";

/** The Compose Specification's own schema is data for development, no part of the project. */
const repository = join(import.meta.dir, "../../../..");
const schemaFile = join(repository, "../shared/data/compose-spec.json");
const isThere = existsSync(schemaFile);
if (!isThere) {
  console.log(`skipped: the Compose Specification's schema is not at ${schemaFile}`);
}

describe("the table of properties", () => {
  test.skipIf(!isThere)("knows every property of the Compose Specification, and no other", () => {
    const theirs = [...schemaPaths().keys()].toSorted();
    const ours = [...pathsOfShape(root).keys()].toSorted();
    expect(ours).toEqual(theirs);
  });

  test.skipIf(!isThere)("accepts the types that the Compose Specification does", () => {
    expect(describeTypes(pathsOfShape(root))).toEqual(describeTypes(schemaPaths()));
  });

  test("gives each property a status, and each that is not honoured a reason", () => {
    const statuses = statusesOf(root);
    expect(statuses.size).toBeGreaterThan(300);
    const lacking = [...statuses].filter(([, { status }]) => status === undefined);
    expect(lacking.map(([path]) => path)).toEqual([]);
  });

  test("says what each that is not honoured means, in words that follow its path", () => {
    for (const [path, { note }] of statusesOf(root)) {
      if (note === "") continue;
      expect(`${path}: ${note}`).toMatch(/: (is|are|has|can't|have) .*[a-z0-9_)]$/s);
    }
  });
});

function schemaPaths(): Paths {
  return pathsOfSchema(JSON.parse(readFileSync(schemaFile, "utf8")) as object);
}

function describeTypes(paths: Paths): Record<string, string> {
  const described = [...paths].map(([path, { types, values }]): [string, string] => {
    const list = [...types].toSorted().join(", ");
    return [path, values.size === 0 ? list : `${list}: ${[...values].toSorted().join(", ")}`];
  });
  return Object.fromEntries(sortedBy(described, ([path]) => path));
}
