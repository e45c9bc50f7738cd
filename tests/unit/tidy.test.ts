import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  findAny,
  findBadNames,
  findBarrels,
  findDefaultExports,
  findImpurity,
  findLongFunctions,
  findLongText,
} from "../tidy/code-rules.ts";
import { findImportBreaches } from "../tidy/imports.ts";
import { findBannedText, findLockfileGaps, findUnexplainedFolders } from "../tidy/project-rules.ts";
import { parseSource, type Breach, type Source } from "../tidy/source.ts";

type Rule = (source: Source) => Breach[];

const root = join(import.meta.dir, "../..");
const sources = readProject().map((path) =>
  parseSource(path, readFileSync(join(root, path), "utf8")),
);

/** Everything that people wrote: no packages, no build output, nothing of other tools. */
function readProject(): string[] {
  const folders = ["src", "scripts", "tests", "compose", ".ci"];
  const inFolders = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
  );
  const atTop = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "LICENSE")
    .map((entry) => entry.name);
  return [...inFolders, ...atTop].sort();
}

/** A rule, a text that breaks it, and one near to it that does not. */
interface Case {
  title: string;
  rule: Rule;
  bad: [path: string, text: string];
  good: [path: string, text: string];
}

const longFunction = `export function f() {\n${"  g();\n".repeat(70)}}\n`;
const longSuite = `describe.skipIf(g)("x", () => {\n${"  g();\n".repeat(70)}});\n`;
const lockfile = (packages: object) => JSON.stringify({ packages });

const cases: Case[] = [
  {
    title: "the model imports nothing but lib and itself",
    rule: findImportBreaches,
    bad: ["src/model/task.ts", 'import { a } from "../core/task/step.ts";'],
    good: ["src/model/task.ts", 'import { a } from "../lib/ids.ts";'],
  },
  {
    title: "a core folder imports no sibling",
    rule: findImportBreaches,
    bad: ["src/core/task/step.ts", 'import type { A } from "../scheduler/score.ts";'],
    good: ["src/core/task/step.ts", 'import type { A } from "./exit.ts";'],
  },
  {
    title: "adapters import one another never",
    rule: findImportBreaches,
    bad: ["src/runtime/podman.ts", 'import { a } from "../store/store.ts";'],
    good: ["src/runtime/podman.ts", 'import { a } from "../core/network/address.ts";'],
  },
  {
    title: "the API sees of the store its interface alone",
    rule: findImportBreaches,
    bad: ["src/api/app.ts", 'import { a } from "../store/sqlite/sqlite-store.ts";'],
    good: ["src/api/app.ts", 'import type { Store } from "../store/store.ts";'],
  },
  {
    title: "the command line sees of the API its client alone, also by a dynamic import",
    rule: findImportBreaches,
    bad: ["src/cli/ps.ts", 'await import("../api/app.ts");'],
    good: ["src/cli/ps.ts", 'await import("../api/client.ts");'],
  },
  {
    title: "lib and core use no package of others beyond their own",
    rule: findImportBreaches,
    bad: ["src/core/task/step.ts", 'import { readFileSync } from "node:fs";'],
    good: ["src/core/compose/parse.ts", 'import { parseDocument } from "yaml";'],
  },
  {
    title: "imports name the file with its extension",
    rule: findImportBreaches,
    bad: ["tests/unit/a.test.ts", 'import { a } from "../../src/lib/ids";'],
    good: ["tests/unit/a.test.ts", 'import { a } from "../../src/lib/ids.ts";'],
  },
  {
    title: "the core reads no clock",
    rule: findImpurity,
    bad: ["src/core/task/step.ts", "export const f = () => Date.now();"],
    good: ["src/core/task/step.ts", "export const f = (now: number) => new Date(now);"],
  },
  {
    title: "the core makes no date of its own",
    rule: findImpurity,
    bad: ["src/model/task.ts", "export const f = () => new Date();"],
    good: ["src/lib/clock.ts", "export const f = () => new Date();"],
  },
  {
    title: "the core draws no random number",
    rule: findImpurity,
    bad: ["src/core/scheduler/score.ts", "export const f = () => Math.random();"],
    good: ["src/lib/random.ts", "export const f = () => crypto.getRandomValues(g);"],
  },
  {
    title: "the core touches no host",
    rule: findImpurity,
    bad: ["src/lib/text.ts", "export const f = () => process.env;"],
    good: ["src/lib/text.ts", "export const f = (a: { process: number }) => a.process;"],
  },
  {
    title: "the core calls no host function",
    rule: findImpurity,
    bad: ["src/lib/text.ts", "export const f = () => fetch('x');"],
    good: ["src/server/x.ts", "export const f = () => fetch('x');"],
  },
  {
    title: "the core does not wait",
    rule: findImpurity,
    bad: ["src/core/task/step.ts", "export async function f() { return 1; }"],
    good: ["src/agent/worker.ts", "export async function f() { await g(); }"],
  },
  {
    title: "nothing is of type any",
    rule: findAny,
    bad: ["src/lib/text.ts", "export function f(a: Array<any>) { return a; }"],
    good: ["src/lib/text.ts", "export function any(a: unknown) { return a; }"],
  },
  {
    title: "nothing is exported as default",
    rule: findDefaultExports,
    bad: ["src/lib/text.ts", "export default 1;"],
    good: ["drizzle.config.ts", "export default {};"],
  },
  {
    title: "no file only passes on the exports of others",
    rule: findBarrels,
    bad: ["src/lib/all.ts", 'export * from "./ids.ts";\nexport { a } from "./text.ts";'],
    good: ["src/lib/all.ts", 'export * from "./ids.ts";\nexport const a = 1;'],
  },
  {
    title: "functions have at most 70 lines, suites of tests may have more",
    rule: findLongFunctions,
    bad: ["src/lib/text.ts", longFunction],
    good: ["tests/unit/a.test.ts", longSuite],
  },
  {
    title: "files have at most 500 lines",
    rule: findLongText,
    bad: ["src/lib/text.ts", "f();\n".repeat(501)],
    good: ["src/lib/text.ts", "f();\n".repeat(500)],
  },
  {
    title: "lines have at most 100 columns",
    rule: findLongText,
    bad: ["src/lib/text.ts", `// ${"x".repeat(98)}`],
    good: ["src/lib/text.ts", `// ${"é".repeat(97)}`],
  },
  {
    title: "names say what a thing does",
    rule: findBadNames,
    bad: ["src/lib/string-utils.ts", ""],
    good: ["src/lib/text.ts", ""],
  },
  {
    title: "files are named in kebab-case",
    rule: findBadNames,
    bad: ["src/lib/someText.ts", ""],
    good: ["src/lib/some-text.ts", ""],
  },
  {
    title: "nothing is left unfinished",
    rule: findBannedText,
    bad: ["src/lib/text.ts", "// TO" + "DO: more"],
    good: ["src/lib/text.ts", "// Nothing to do here."],
  },
  {
    title: "no registry's host stands in a lockfile",
    rule: findBannedText,
    bad: ["package-lock.json", '"resolved": "https://registry.' + 'npmjs.org/a.tgz"'],
    good: ["package-lock.json", '"integrity": "sha512-x"'],
  },
  {
    title: "types are switched off nowhere",
    rule: findBannedText,
    bad: ["src/lib/text.ts", "// @ts-" + "ignore"],
    good: ["src/lib/text.ts", "// types"],
  },
  {
    title: "tests do not sleep",
    rule: findBannedText,
    bad: ["tests/unit/a.test.ts", "await Bun." + "sleep(100);"],
    good: ["tests/unit/a.test.ts", "await waitFor(() => done);"],
  },
  {
    title: "tests expect something that could be otherwise",
    rule: findBannedText,
    bad: ["tests/unit/a.test.ts", "expect" + "(true).toBe(true);"],
    good: ["tests/unit/a.test.ts", "expect(done).toBe(true);"],
  },
  {
    title: "no test leaves out the others",
    rule: findBannedText,
    bad: ["tests/unit/a.test.ts", "test." + "only('x', f);"],
    good: ["tests/unit/a.test.ts", 'test("x", f);'],
  },
  {
    title: "the lockfile holds every package, those for other platforms as well",
    rule: findLockfileGaps,
    bad: [
      "package-lock.json",
      lockfile({ "": {}, "node_modules/a": { optionalDependencies: { "a-arm": "1.0.0" } } }),
    ],
    good: [
      "package-lock.json",
      lockfile({ "node_modules/a": { dependencies: { b: "1" } }, "node_modules/b": {} }),
    ],
  },
];

describe("each rule sees its breach and lets pass what is near to it", () => {
  for (const { title, rule, bad, good } of cases) {
    test(title, () => {
      expect(rule(parseSource(...bad))).not.toEqual([]);
      expect(rule(parseSource(...good))).toEqual([]);
    });
  }
  test("each folder of src says what it is for", () => {
    expect(findUnexplainedFolders(["src/lib/ids.ts", "src/README.md"])).toHaveLength(1);
    const explained = ["src/core/task/a.ts", "src/core/task/README.md", "src/README.md"];
    expect(findUnexplainedFolders(explained)).toEqual([]);
  });
});

describe("the project keeps the rules", () => {
  const rules = new Set(cases.map(({ rule }) => rule));
  for (const rule of rules) {
    test(`${rule.name} finds nothing`, () => {
      expect(sources.flatMap(rule).map(formatBreach)).toEqual([]);
    });
  }
  test("findUnexplainedFolders finds nothing", () => {
    const breaches = findUnexplainedFolders(sources.map(({ path }) => path));
    expect(breaches.map(formatBreach)).toEqual([]);
  });
});

function formatBreach({ path, line, message }: Breach): string {
  return `${path}:${line} ${message}`;
}
