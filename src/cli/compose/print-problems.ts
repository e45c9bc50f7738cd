import { plural } from "../../lib/text.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import type { Project } from "./load-project.ts";

/**
 * Prints every problem with its file, line and column, the errors last, where they are seen.
 * @param format what a problem is as one line
 * @returns how many of them are errors
 */
export async function printProblems(
  io: Io,
  problems: Project["problems"],
  format: (problem: Project["problems"][number]) => string,
): Promise<number> {
  const paint = paintFor(io, io.stderr);
  const warnings = problems.filter(({ severity }) => severity === "warning");
  const errors = problems.filter(({ severity }) => severity === "error");
  const lines = [
    ...warnings.map((problem) => paint("yellow", cleanText(format(problem)))),
    ...errors.map((problem) => paint("red", cleanText(format(problem)))),
  ];
  if (lines.length > 0) await io.stderr.write(`${lines.join("\n")}\n`);
  return errors.length;
}

/** Said after the errors of a file that was refused. */
export function formatRefusal(errors: number): string {
  return `Nothing was changed: correct ${plural(errors, "error")} first.`;
}
