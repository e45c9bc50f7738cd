import { exitCodeOf, messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Io } from "./io.ts";
import { cleanText } from "./output/clean.ts";
import { paintFor } from "./output/color.ts";

/**
 * Prints what went wrong: one sentence, then further lines that the server gave, then what to do.
 * @param hint what to do, where the sentence does not say it
 * @returns the exit code
 */
export async function reportError(io: Io, error: unknown, hint = ""): Promise<number> {
  const paint = paintFor(io, io.stderr);
  const lines = [paint("red", cleanText(messageChainOf(error)))];
  for (const detail of detailsOf(error)) lines.push(`  ${cleanText(detail)}`);
  if (hint !== "") lines.push(hint);
  await io.stderr.write(`${lines.join("\n")}\n`);
  return error instanceof OrchdError ? exitCodeOf(error.code) : exitCodeOf("internal");
}

function detailsOf(error: unknown): readonly string[] {
  if (typeof error !== "object" || error === null || !("details" in error)) return [];
  return Array.isArray(error.details) ? error.details.map(String) : [];
}
