import { untilStopped } from "../agent/until-stopped.ts";
import { lineLog } from "../lib/log.ts";
import type { VersionInfo } from "../model/summary.ts";
import { Server, type ServerOptions } from "./server.ts";

/**
 * Runs a server until it is told to stop by SIGINT or SIGTERM.
 * @returns the exit code
 * @throws OrchdError when it can't start; nothing that runs already is touched then
 */
export async function runServer(
  options: Omit<ServerOptions, "log" | "version"> & { build: Omit<VersionInfo, "api"> },
): Promise<number> {
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => new Date().toISOString(),
  );
  const { build, ...rest } = options;
  const stopped = untilStopped();
  const server = await Server.open({ ...rest, log, version: { ...build, api: "v1" } });
  try {
    log.info(`orchd ${build.version} answers on ${server.socketPath}; data in ${options.dataDir}`);
    if (options.agent) {
      await server.startAgent();
      log.info("the agent of this machine is ready");
    }
    log.info(`stopping: ${await stopped}; containers go on`);
    return 0;
  } finally {
    await server.stop();
  }
}
