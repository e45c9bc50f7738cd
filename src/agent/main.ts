import { systemClock } from "../lib/clock.ts";
import { lineLog } from "../lib/log.ts";
import { keepReleasingCode } from "./release-code.ts";
import { AgentRole, type AgentRoleOptions } from "./role.ts";
import { untilStopped } from "./until-stopped.ts";
import { beginAnew, type OwnProcess, selfUpgradeOf } from "./upgrade/own-process.ts";

/**
 * Runs an agent until it is told to stop by SIGINT or SIGTERM.
 * @param self absent when it runs from the sources, and can't become another executable
 * @returns the exit code
 * @throws OrchdError when it can't start; nothing that runs already is touched then
 */
export async function runAgent(
  options: Omit<AgentRoleOptions, "log" | "upgrade">,
  self?: OwnProcess,
): Promise<number> {
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => new Date().toISOString(),
  );
  const stopped = untilStopped();
  const upgrade = self && selfUpgradeOf(self, options.dataDir, log);
  const role = await AgentRole.start({ ...options, ...(upgrade && { upgrade }), log });
  log.info("the agent of this machine is ready");
  const endReleasing = keepReleasingCode(systemClock);
  const why = await Promise.race([stopped, ...(upgrade === undefined ? [] : [upgrade.end])]);
  log.info(`stopping: ${why}; containers go on`);
  endReleasing();
  await role.stop();
  return why === "upgrade" && self !== undefined ? beginAnew(self) : 0;
}
