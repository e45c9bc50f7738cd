import { resolve } from "node:path";
import { DATA_DIR_DEFAULT } from "./socket-path.ts";

/** The data directory of a role's command line, which is not read yet otherwise. */
export function dataDirOf(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  let named = env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT;
  for (const [at, word] of argv.entries()) {
    if (word === "--data-dir") named = argv[at + 1] ?? named;
    else if (word.startsWith("--data-dir=")) named = word.slice("--data-dir=".length);
  }
  return resolve(cwd, named);
}
