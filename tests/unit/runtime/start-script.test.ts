import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  insideText,
  lastWords,
  MONITOR,
  openText,
  READY,
  type StartPlan,
  waitText,
} from "../../../src/runtime/process/start-script.ts";
import { findTools } from "../../../src/runtime/process/tools.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "orchd-start-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The last part of the chain, whose program says in a file that it has run. */
function startChain() {
  const tools = findTools();
  const { sh } = tools;
  const words = [sh, "-c", `echo "$PPID" >${join(directory, "ran")}; exit 7`];
  const plan: StartPlan = {
    directory,
    joinFiles: [],
    namespaces: [],
    mounts: [],
    readOnly: [],
    sealed: [],
    writes: [],
    real: sh,
    privileges: ["--no-new-privs"],
    last: lastWords(
      tools,
      { environment: {}, workingDir: "/", words },
      waitText({ path: sh, real: sh }),
    ),
  };
  return Bun.spawn([sh, "-c", `${openText(plan)}\n${insideText(tools, plan)}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

/** Reads until the chain waits to be told to go, and closes the agent's end of what it says. */
async function readyAndGone(child: ReturnType<typeof startChain>): Promise<void> {
  let said = "";
  const reader = child.stdout.getReader();
  while (!said.includes(READY)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the chain came to its end: ${said}`);
    said += new TextDecoder().decode(value);
  }
  await reader.cancel();
}

test("a program that was told to go begins although the agent is gone by then", async () => {
  const child = startChain();
  await readyAndGone(child);
  void child.stdin.write("go\n");
  void child.stdin.end();
  expect(await child.exited).toBe(7);
  expect(existsSync(join(directory, "ran"))).toBe(true);
  expect(readFileSync(join(directory, "begun"), "utf8")).toBe(`${child.pid}\n`);
});

test("one that was not told to go has not begun", async () => {
  const child = startChain();
  await readyAndGone(child);
  void child.stdin.end();
  expect(await child.exited).toBe(1);
  expect(existsSync(join(directory, "ran"))).toBe(false);
  expect(readFileSync(join(directory, "begun"), "utf8")).toBe("");
});

test("a monitor that looks late says nothing of a later program by its task's name", async () => {
  const { sh } = findTools();
  const [begun, exit] = [join(directory, "begun"), `${directory}.exit`];
  writeFileSync(join(directory, "setup.sh"), "echo up; read -r go; exit 1\n");
  const words = [directory, "", "", "", "", "", exit];
  const monitor = Bun.spawn([sh, "-c", MONITOR, "orchd-process", ...words], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await monitor.stdout.getReader().read();
  rmSync(begun);
  writeFileSync(begun, `${process.pid}\n`);
  void monitor.stdin.end();
  await monitor.exited;
  expect(existsSync(exit)).toBe(false);
});
