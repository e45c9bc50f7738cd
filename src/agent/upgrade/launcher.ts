import { existsSync } from "node:fs";
import { endTrial, planLaunch } from "../../core/upgrade/launch.ts";
import type { Clock } from "../../lib/clock.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { equalJson } from "../../lib/order.ts";
import type { Place, Slots, Trial } from "../../model/slots.ts";
import { KeptDatabases } from "../../store/kept-databases.ts";
import { endLeftTrial } from "./left-trial.ts";
import { ownExecutable, SlotFiles } from "./slot-files.ts";
import { superviseTrial, type TrialEnd } from "./supervise.ts";

/** Tells a process that it is a trial, and which. */
export const TRIAL_VARIABLE = "ORCHD_TRIAL";

type Environment = Readonly<Record<string, string | undefined>>;

export interface LauncherOptions {
  dataDir: string;
  argv0: string;
  /** What stands behind the program's name. */
  words: readonly string[];
  env: Environment;
  clock: Clock;
  log: Log;
  /** Makes this process another executable; returns only when it can't. */
  become: (path: string, argv: string[], env: Environment) => void;
}

/**
 * The first thing that a role does: finds out which executable is to run, and runs that. Returns
 * when it is this one. Nothing may be open yet.
 * @returns the exit code, when the process was asked to end meanwhile
 */
export async function launch(options: LauncherOptions): Promise<number | undefined> {
  const launcher = new Launcher(options);
  try {
    return await launcher.run();
  } catch (error) {
    if (error instanceof OrchdError && error.code === "conflict") {
      options.log.error(error.message);
      return 1;
    }
    // What can't be read names no other executable: this one is there.
    options.log.error(`this executable runs, whatever was upgraded: ${messageChainOf(error)}`);
    return undefined;
  }
}

class Launcher {
  readonly #options: LauncherOptions;
  readonly #files: SlotFiles;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#files = new SlotFiles(options.dataDir);
  }

  async run(): Promise<number | undefined> {
    for (;;) {
      const found = this.#files.read();
      if (found === undefined) return undefined;
      await this.#requireNobodyTries(found);
      const facts = {
        self: this.#files.placeOf(found, ownExecutable()),
        whole: this.#files.whole(found),
        trial: this.#options.env[TRIAL_VARIABLE],
      };
      const { slots, launch: next } = planLaunch(found, facts);
      if (!equalJson(slots, found)) this.#files.write(slots);
      if (next.type === "run") return undefined;
      if (next.type === "become") {
        this.#become(slots, next.place);
        return undefined;
      }
      if (slots.trial === undefined) return undefined;
      const end = await this.#try(slots, slots.trial);
      if (end.type === "stopped") {
        // People asked for that: it is no try that failed.
        this.#files.write(found);
        return end.exitCode;
      }
    }
  }

  /** One that is left of an earlier supervisor's life is ended. */
  async #requireNobodyTries({ trial, installed }: Slots): Promise<void> {
    if (trial === undefined || trial.id === this.#options.env[TRIAL_VARIABLE]) return;
    const [a, b] = [this.#files.pathOf("a"), this.#files.pathOf("b")];
    await endLeftTrial(this.#files.pathOf(trial.slot), [installed.path, a, b]);
  }

  async #try(slots: Slots, trial: Trial): Promise<TrialEnd> {
    const { log, clock, argv0, words, env, dataDir } = this.#options;
    const path = this.#files.pathOf(trial.slot);
    const content = slots[trial.slot];
    const databases = new KeptDatabases(dataDir, this.#files.pathBeside(`before-${trial.id}`));
    this.#files.unconfirm();
    let end: TrialEnd;
    try {
      if (content !== undefined) this.#files.verify(trial.slot, content);
      databases.keep();
      log.info(`orchd ${content?.version ?? ""} is tried; if need be, what runs now comes back`);
      end = await superviseTrial({
        path,
        argv0,
        words,
        env: { ...env, [TRIAL_VARIABLE]: trial.id },
        withinMs: trial.withinMs,
        clock,
        isConfirmed: () => this.#files.isConfirmed(trial.id),
      });
    } catch (error) {
      end = { type: "reverted", reason: messageChainOf(error) };
    }
    if (end.type === "stopped") return end;
    if (end.type === "kept") {
      this.#files.write(endTrial(slots, "kept"));
      log.info("the new orchd is back in the cluster: it is kept");
    } else {
      databases.putBackOlder();
      this.#files.write(endTrial(slots, "reverted", end.reason));
      log.error(`the new orchd is given up: ${end.reason}; the former one runs again`);
    }
    databases.forget();
    return end;
  }

  #become({ installed }: Slots, place: Place): void {
    const { argv0, words, env, log, become } = this.#options;
    const path = place === "installed" ? installed.path : this.#files.pathOf(place);
    if (!existsSync(path)) return log.error(`${path} is gone: this executable runs instead`);
    const { [TRIAL_VARIABLE]: _trial, ...rest } = env;
    become(path, [argv0, ...words], rest);
  }
}
