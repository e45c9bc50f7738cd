import { Option, type Command } from "commander";
import { newCommand, pathFrom, type Context } from "../context.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT, runDirOf } from "../socket-path.ts";

interface ServerFlags {
  dataDir: string;
  runDir?: string;
  runtime: "podman" | "fake";
  agent: boolean;
  podmanSocket?: string;
}

export function serverCommand(context: Context): Command {
  const { io } = context;
  return newCommand({
    name: "server",
    description: "Runs the control plane, with an agent on this machine.",
    examples: ["orchd server", "orchd server --data-dir ./data --runtime fake"],
  })
    .addOption(
      new Option("--data-dir <dir>", "where the state is kept")
        .default(io.env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT)
        .helpGroup("Options:"),
    )
    .option(
      "--run-dir <dir>",
      `where sockets are (default: ${RUN_DIR_DEFAULT}, or the data directory when that is named)`,
    )
    .addOption(
      new Option("--runtime <name>", "what runs the containers")
        .choices(["podman", "fake"])
        .default("podman"),
    )
    .option("--no-agent", "run no containers on this machine")
    .option("--podman-socket <path>", "socket of a Podman service that runs already")
    .action(async ({ dataDir, runDir, podmanSocket, ...flags }: ServerFlags) => {
      const data = pathFrom(io, dataDir);
      context.exitCode = await context.program.startServer({
        dataDir: data,
        runDir: runDir === undefined ? runDirOf(data) : pathFrom(io, runDir),
        ...flags,
        ...(podmanSocket === undefined ? {} : { podmanSocket: pathFrom(io, podmanSocket) }),
      });
    });
}
