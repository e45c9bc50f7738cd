import { arch } from "node:os";
import { systemClock } from "../../lib/clock.ts";
import { lineLog, type Log } from "../../lib/log.ts";
import { becomeAnother } from "../engine.ts";
import { launch, TRIAL_VARIABLE } from "./launcher.ts";
import { SelfUpgrade } from "./self-upgrade.ts";
import { ownExecutable } from "./slot-files.ts";

/** BSD's sysexits.h, EX_TEMPFAIL: whoever supervises this process starts it again. */
const TRY_AGAIN = 75;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** How this process was started: what it takes to begin anew. */
export interface OwnProcess {
  argv0: string;
  /** What stands behind the program's name. */
  words: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs the executable that is to run; returns when it is this one, with the exit code when the
 * process was asked to end meanwhile.
 */
export function launchOwn(self: OwnProcess, dataDir: string): Promise<number | undefined> {
  const log = lineLog(
    (line) => process.stderr.write(line),
    () => new Date().toISOString(),
  );
  return launch({ ...self, dataDir, clock: systemClock, log, become: becomeAnother });
}

/** This process's part in upgrades of orchd on its machine. */
export function selfUpgradeOf({ env }: OwnProcess, dataDir: string, log: Log): SelfUpgrade {
  const platform = `linux/${ARCHITECTURES[arch()] ?? arch()}`;
  return new SelfUpgrade({ dataDir, log, platform, trial: env[TRIAL_VARIABLE] });
}

/**
 * Begins anew, as the same process: the launcher finds what is to run. Nothing may be open.
 * @returns the exit code, where that can't be done
 */
export function beginAnew({ argv0, words, env }: OwnProcess): number {
  becomeAnother(ownExecutable(), [argv0, ...words], env);
  return TRY_AGAIN;
}
