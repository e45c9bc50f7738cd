import type { z } from "zod";
import { OrchdError } from "../lib/errors.ts";

/**
 * What could not be read back is never written: one bad row would keep orchd from starting again.
 * @param what the kind of row, for the message
 * @throws OrchdError `internal` that names the field, never its value
 */
export function refuseMalformed(schema: z.ZodType, value: unknown, what: string): void {
  const problem = schema.safeParse(value).error?.issues[0];
  if (problem === undefined) return;
  const place = [what, ...problem.path].join(".");
  throw new OrchdError("internal", `the store refuses what it could not read back: ${place}`, {
    cause: new Error(problem.message),
  });
}
