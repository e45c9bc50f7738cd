import type { BuildInfo } from "./build-info.ts";
import { COMMANDS } from "./commands.ts";

/** What `orchd --help` prints. */
export function formatHelp(build: BuildInfo): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const commands = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    `orchd ${build.version}: runs containers from Compose files and keeps them running`,
    "",
    "Usage: orchd COMMAND [options]",
    "",
    "Commands:",
    ...commands,
    "",
    "`orchd COMMAND --help` tells its options. Options of every command that asks a server:",
    "  --json             print JSON, in the shapes of the API",
    "  --context <name>   a server on another machine (or ORCHD_CONTEXT), see `orchd context`",
    "  --socket <path>    socket of the server (or ORCHD_SOCKET)",
    "  --data-dir <dir>   data directory of the server (or ORCHD_DATA_DIR)",
    "",
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not reachable, 4 timed out.",
    "",
    "Example: orchd up -f compose.yaml",
    "",
  ].join("\n");
}
