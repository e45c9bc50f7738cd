import { join } from "node:path";

export const DATA_DIR_DEFAULT = "/var/lib/orchd";
export const RUN_DIR_DEFAULT = "/run/orchd";
const SOCKET_NAME = "orchd.sock";

export interface SocketChoice {
  socket?: string;
  dataDir?: string;
}

/**
 * Where a server keeps its socket: with the data when that is not in the usual place, so that two
 * servers on one machine don't meet, and so that `--data-dir` alone finds the right one.
 */
export function runDirOf(dataDir: string): string {
  return dataDir === DATA_DIR_DEFAULT ? RUN_DIR_DEFAULT : dataDir;
}

/** The socket to use: what the command line names, then the environment, then the usual one. */
export function socketPathOf(
  choice: SocketChoice,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  const named = choice.socket ?? (choice.dataDir === undefined ? env["ORCHD_SOCKET"] : undefined);
  const relative =
    named !== undefined && named !== ""
      ? named
      : join(runDirOf(choice.dataDir ?? (env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT)), SOCKET_NAME);
  return relative.startsWith("/") ? relative : join(cwd, relative);
}
