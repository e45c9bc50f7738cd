import { Argument, type Command } from "commander";
import { completionScript, SHELLS, type Shell } from "../complete/scripts.ts";
import { newCommand, type Context } from "../context.ts";

export function completionCommand(context: Context): Command {
  return newCommand({
    name: "completion",
    description: "Prints a script with which the shell completes commands, options and names.",
    examples: [
      "source <(orchd completion bash)",
      "source <(orchd completion zsh)",
      "orchd completion fish | source",
    ],
  })
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .action((shell: Shell) => context.io.stdout.write(completionScript(shell)));
}
