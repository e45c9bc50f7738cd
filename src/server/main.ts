import { keepReleasingCode } from "../agent/release-code.ts";
import { beginAnew, type OwnProcess, selfUpgradeOf } from "../agent/upgrade/own-process.ts";
import { untilStopped } from "../agent/until-stopped.ts";
import { systemClock } from "../lib/clock.ts";
import { lineLog, type Log } from "../lib/log.ts";
import type { VersionInfo } from "../model/summary.ts";
import type { ListenOptions } from "./remote.ts";
import type { ServerOptions } from "./server-options.ts";
import { Server } from "./server.ts";

/**
 * Runs a server until it is told to stop by SIGINT or SIGTERM.
 * @param self absent when it runs from the sources, and can't become another executable
 * @returns the exit code
 * @throws OrchdError when it can't start; nothing that runs already is touched then
 */
export async function runServer(
  options: Omit<ServerOptions, "log" | "version" | "upgrade"> & {
    build: Omit<VersionInfo, "api">;
    /** Where other machines reach this server; absent means nowhere. */
    listen?: ListenOptions;
  },
  self?: OwnProcess,
): Promise<number> {
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => new Date().toISOString(),
  );
  const { build, listen, ...rest } = options;
  const stopped = untilStopped();
  const upgrade = self && selfUpgradeOf(self, options.dataDir, log);
  const version = { ...build, api: "v1" } as const;
  const server = await Server.open({ ...rest, ...(upgrade && { upgrade }), log, version });
  let why: string;
  const endReleasing = keepReleasingCode(systemClock);
  try {
    log.info(`orchd ${build.version} answers on ${server.socketPath}; data in ${options.dataDir}`);
    if (options.agent) {
      await server.startAgent();
      log.info("the agent of this machine is ready");
    }
    if (listen !== undefined) await server.openPort(listen);
    tellFirstToken(server, log);
    upgrade?.confirm();
    const ends = [stopped, ...(upgrade === undefined ? [] : [upgrade.end])];
    why = await Promise.race(ends);
    log.info(`stopping: ${why}; containers go on`);
  } finally {
    endReleasing();
    await server.stop();
  }
  return why === "upgrade" && self !== undefined ? beginAnew(self) : 0;
}

/** The one time that a token's text is told unasked: to whoever began the cluster. */
function tellFirstToken(server: Server, log: Log): void {
  const token = server.takeFirstToken();
  const [address] = server.addresses();
  if (address !== undefined) log.info(`agents and people with a token reach it on ${address}`);
  if (token === undefined || address === undefined) return;
  // What is not a terminal may be a log, where a token would stay.
  if (!process.stdout.isTTY) return log.info("`orchd token create` makes a token to join with");
  log.info("a new cluster: for a day, the line that follows lets machines join it");
  process.stdout.write(`orchd join ${token}@${address}\n`);
}
