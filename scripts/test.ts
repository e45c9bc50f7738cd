import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { $, chalk } from "zx";
import { buildForThisMachine } from "./build.ts";
import { prepareMachine, TEST_PARTS } from "./machine.ts";
import { bun, dist, root, sayStep } from "./project.ts";
import { add, countTests, formatCount, NOTHING, readJunit, type Count } from "./test/count.ts";
import { listSuites, needsMachine, type Suite } from "./test/suites.ts";

/*
 * `npm test` runs every suite, `npm test -- unit golden` those suites, and
 * `npm test -- e2e start` the files of a suite that have that text in their path.
 */
const run = $({ cwd: root, stdio: "inherit", nothrow: true, env: testEnvironment() });

const suites = listSuites();
const words = process.argv.slice(2);
const named = suites.filter((suite) => words.includes(suite.name));
const filters = words.filter((word) => !suites.some((suite) => suite.name === word));
const started = Date.now();
let total = NOTHING;
const failedSuites: string[] = [];
for (const suite of named.length > 0 ? named : suites) {
  const count = await runSuite(suite);
  if (count.failed > 0) failedSuites.push(suite.name);
  total = add(total, count);
}
const seconds = Math.round((Date.now() - started) / 1000);
sayStep(failedSuites.length === 0 ? `Done in ${seconds} s` : `Failed: ${failedSuites.join(", ")}`);
console.log(formatCount(total));
process.exitCode = total.failed === 0 ? 0 : 1;

async function runSuite(suite: Suite): Promise<Count> {
  sayStep(suite.name);
  let count = NOTHING;
  for (const check of suite.checks) {
    const { exitCode } = await run`${check.command}`;
    console.log(`(${exitCode === 0 ? "pass" : "fail"}) ${check.name}`);
    count = add(count, { ...NOTHING, [exitCode === 0 ? "passed" : "failed"]: 1 });
  }
  if (suite.checks.length > 0) return count;
  const files = suite.files.filter(isWanted);
  if (files.length === 0) {
    console.log(chalk.red(`(fail) the suite ${suite.name} has no tests`));
    return { ...NOTHING, failed: 1 };
  }
  const plain = files.filter((file) => !needsMachine(file));
  const withMachine = files.filter(needsMachine);
  if (plain.length > 0) count = add(count, await runTests(suite, plain, "plain"));
  if (withMachine.length > 0) {
    count = add(count, await runOnMachine(suite, withMachine));
  }
  return count;
}

function isWanted(file: string): boolean {
  return filters.length === 0 || filters.some((text) => file.includes(text));
}

async function runOnMachine(suite: Suite, files: string[]): Promise<Count> {
  const problem = await prepareMachine(TEST_PARTS);
  if (problem !== undefined) {
    const skipped = files.reduce((sum, file) => sum + countTests(file), 0);
    const list = files.map((file) => `  ${file}`).join("\n");
    console.log(chalk.yellow.bold(`SKIPPED ${skipped} tests. ${problem}\n${list}`));
    return { ...NOTHING, skipped };
  }
  if (suite.name === "e2e" && !(await buildExecutable())) return { ...NOTHING, failed: 1 };
  return runTests(suite, files, "machine");
}

async function buildExecutable(): Promise<boolean> {
  try {
    console.log(`dist/orchd: ${await buildForThisMachine()}`);
    return true;
  } catch (error) {
    // The other suites are still to be told of.
    console.log(chalk.red(error instanceof Error ? error.message : String(error)));
    return false;
  }
}

async function runTests(suite: Suite, files: string[], part: string): Promise<Count> {
  const junit = join(dist, "junit", `${suite.name}-${part}.xml`);
  mkdirSync(join(dist, "junit"), { recursive: true });
  rmSync(junit, { force: true });
  const { exitCode } = await run`${bun} test ${[
    `--timeout=${suite.timeoutMs}`,
    "--reporter=junit",
    `--reporter-outfile=${junit}`,
    ...files.map((file) => `./${file}`),
  ]}`;
  return readJunit(junit, exitCode ?? 1);
}

/** Tests must not depend on where or as whom they run. */
function testEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("ORCHD_"));
  return { ...Object.fromEntries(kept), TZ: "UTC", FORCE_COLOR: "0" };
}
