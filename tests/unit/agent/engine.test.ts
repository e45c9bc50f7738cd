import { expect, test } from "bun:test";
import { AGENT_ENGINE, planRestart, type Executable } from "../../../src/agent/engine.ts";

const EXECUTABLE: Executable = {
  embeddedIn: "/$bunfs/root",
  path: "/usr/bin/orchd",
  argv0: "orchd",
  words: ["join", "--label", "zone=the hall"],
  env: { HOME: "/root" },
};

test("an agent begins anew as it was called, with settings beside its environment", () => {
  expect(planRestart(EXECUTABLE)).toEqual({
    argv: ["orchd", "join", "--label", "zone=the hall"],
    env: { HOME: "/root", ...AGENT_ENGINE },
  });
});

test("an agent that was begun anew does not do so again", () => {
  const plan = planRestart(EXECUTABLE);
  expect(planRestart({ ...EXECUTABLE, env: plan?.env ?? {} })).toBeUndefined();
});

test("a setting that somebody made counts", () => {
  const env = { BUN_JSC_useDFGJIT: "1" };
  expect(planRestart({ ...EXECUTABLE, env })?.env).toEqual({ ...AGENT_ENGINE, ...env });
});

test("an agent that runs from the sources stays as it is: its path is that of Bun", () => {
  expect(planRestart({ ...EXECUTABLE, embeddedIn: "/home/dev/orchd/src" })).toBeUndefined();
});
