import type { Command } from "commander";
import { formatVersion } from "../build-info.ts";
import { newCommand, type Context } from "../context.ts";

/** For what the entry file does not answer by itself, such as its help. */
export function versionCommand(context: Context): Command {
  return newCommand({
    name: "version",
    description: "Prints the version of this executable.",
    examples: ["orchd version"],
  })
    .option("--json", "print JSON, in the shapes of the API")
    .action(async ({ json }: { json?: boolean }) => {
      await context.io.stdout.write(formatVersion(context.program.build, json === true));
    });
}
