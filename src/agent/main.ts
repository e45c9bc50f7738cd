import { systemClock } from "../lib/clock.ts";
import { lineLog } from "../lib/log.ts";
import { keepReleasingCode } from "./release-code.ts";
import { AgentRole, type AgentRoleOptions } from "./role.ts";
import { untilStopped } from "./until-stopped.ts";

/**
 * Runs an agent until it is told to stop by SIGINT or SIGTERM.
 * @returns the exit code
 * @throws OrchdError when it can't start; nothing that runs already is touched then
 */
export async function runAgent(options: Omit<AgentRoleOptions, "log">): Promise<number> {
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => new Date().toISOString(),
  );
  const stopped = untilStopped();
  const role = await AgentRole.start({ ...options, log });
  log.info("the agent of this machine is ready");
  const endReleasing = keepReleasingCode(systemClock);
  log.info(`stopping: ${await stopped}; containers go on`);
  endReleasing();
  await role.stop();
  return 0;
}
