import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stackSpecSchema } from "../../../src/model/stack.ts";
import { formatResult, loadGolden } from "./format-result.ts";

/*
 * Each NAME.yaml here, with NAME.override.yaml over it where there is one, and each example stack
 * below compose/, becomes NAME.txt. `UPDATE_GOLDEN=1 bun test tests/golden/compose` writes what
 * comes out now; read the difference before it is committed.
 */
const here = import.meta.dir;
const examples = join(here, "../../../compose");
const update = process.env["UPDATE_GOLDEN"] === "1";

const cases = readdirSync(here)
  .filter((file) => file.endsWith(".yaml") && !file.includes(".override."))
  .map((file) => ({ name: file.replace(/\.yaml$/, ""), directory: here, file }));
const stacks = readdirSync(examples).map((name) => ({
  name: `example-${name}`,
  directory: join(examples, name),
  file: "compose.yaml",
}));

describe("Compose files", () => {
  for (const { name, directory, file } of cases) {
    test(`${name}.yaml becomes what ${name}.txt says`, () => {
      const override = file.replace(".yaml", ".override.yaml");
      const files = existsSync(join(directory, override)) ? [file, override] : [file];
      compare(name, formatResult(loadGolden(directory, files)));
    });
  }
});

describe("the example stacks", () => {
  for (const { name, directory, file } of stacks) {
    test(`${name} loads without an error and becomes what its text says`, () => {
      const loaded = loadGolden(directory, [file]);
      expect(loaded.result.problems.filter(({ severity }) => severity === "error")).toEqual([]);
      expect(stackSpecSchema.parse(loaded.result.spec)).toEqual(loaded.result.spec ?? fail());
      compare(name, formatResult(loaded));
    });
  }

  test("the shop's test file moves its ports and keeps everything else", () => {
    const loaded = loadGolden(join(examples, "shop"), ["compose.yaml", "compose.test.yaml"]);
    compare("example-shop-test", formatResult(loaded));
  });
});

function compare(name: string, actual: string): void {
  const path = join(here, `${name}.txt`);
  if (update) writeFileSync(path, actual);
  expect(actual).toBe(readFileSync(path, "utf8"));
}

function fail(): never {
  throw new Error("there is no spec");
}
