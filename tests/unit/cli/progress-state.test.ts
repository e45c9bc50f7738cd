import { expect, test } from "bun:test";
import {
  advance,
  formatProgress,
  newProgress,
  type Goal,
} from "../../../src/cli/follow/progress-state.ts";
import { plain } from "../../../src/cli/output/color.ts";
import type { Progress } from "../../../src/model/summary.ts";
import { aProgress, aReadyService, aServiceSummary } from "./samples.ts";

/** The lines that a sequence of messages, one each second, brings about. */
function linesOf(goal: Goal, sequence: Progress[]): string[][] {
  let state = newProgress(goal, 0);
  return sequence.map((progress, second) => {
    const next = advance(state, progress, second * 1000);
    state = next.state;
    return next.lines;
  });
}

test("a line is told at each change and at nothing else", () => {
  const begun = aProgress([aServiceSummary({ message: "pulling web:1" })]);
  const half = aProgress([aServiceSummary({ running: 2, ready: 2 })]);
  const done = aProgress([aReadyService()]);
  expect(linesOf("converged", [begun, begun, half, done, done])).toEqual([
    ["shop/web: starting, 0 of 3 ready: pulling web:1"],
    [],
    ["shop/web: starting, 2 of 3 ready"],
    ["shop/web: ready, 3 of 3 ready"],
    [],
  ]);
});

test("a new revision is told as replacing, a failure as failing", () => {
  const replacing = aProgress([aServiceSummary({ outdated: 2, running: 1, ready: 3 })]);
  const failing = aProgress([aServiceSummary({ failures: 1, message: "exit code 1" })]);
  expect(linesOf("converged", [replacing, failing])).toEqual([
    ["shop/web: replacing, 3 of 3 ready"],
    ["shop/web: failing, 0 of 3 ready: exit code 1"],
  ]);
});

test("a service that fails in a circle does not repeat itself", () => {
  const failing = (message: string) => aProgress([aServiceSummary({ failures: 1, message })]);
  const [a, b] = [failing("exit code 1"), failing("waits 2 s")];
  const told = linesOf("converged", [a, b, a, b]);
  expect(told.map((lines) => lines.length)).toEqual([1, 1, 0, 0]);
});

test("a removal counts what is left, and a service that is gone is removed", () => {
  const two = aProgress([aServiceSummary({ wanted: 0, running: 2, ready: 1 })]);
  expect(linesOf("removed", [two, aProgress([])])).toEqual([
    ["shop/web: stopping, 2 tasks left"],
    ["shop/web: removed"],
  ]);
});

test("a message from outside can't draw on the terminal", () => {
  const [lines] = linesOf("converged", [aProgress([aServiceSummary({ message: "\u001b[2J\n" })])]);
  expect(lines?.[0]).toEndWith(": \\x1b[2J\\x0a");
});

test("the elapsed time of a service stands still when it is ready", () => {
  let state = newProgress("converged", 0);
  const services = [aReadyService(), aServiceSummary({ id: "s2", name: "database" })];
  state = advance(state, aProgress(services), 4000).state;
  expect(formatProgress(state, 9000, plain)).toEqual([
    "shop/web       ready          3/3      4 s",
    "shop/database  starting       0/3      9 s",
  ]);
});
