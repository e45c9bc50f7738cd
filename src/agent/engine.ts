import { existsSync } from "node:fs";

/**
 * How the JavaScript engine runs an agent, in the options of JavaScriptCore and of its allocator,
 * mimalloc: they read them from the environment alone, before anything of ours runs. An agent has
 * little to compute and often little memory. Its busiest functions get machine code by the simplest
 * of the engine's three compilers; the two others take more memory than they save time here.
 */
export const AGENT_ENGINE: Readonly<Record<string, string>> = {
  BUN_JSC_useDFGJIT: "0",
  // Executions after which a function is compiled: those of the start alone never are.
  BUN_JSC_thresholdForJITAfterWarmUp: "20000",
  BUN_JSC_thresholdForJITSoon: "5000",
  // Milliseconds between two searches for pages that can be given back, each through the whole
  // heap. Without it there is one whenever the agent has nothing to do: some every second, for
  // a third of all that an idle agent computes.
  MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "10000",
};

/** Node's type definitions, as old as they are here, do not know it. */
interface CanBecomeAnother {
  execve?(path: string, argv: string[], env: Environment): never;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What this process is, as far as starting it anew is concerned. */
export interface Executable {
  /** Where the program is embedded, as `import.meta.dir` says. */
  embeddedIn: string;
  path: string;
  /** As the process was called. */
  argv0: string;
  /** What stands behind the program's name. */
  words: readonly string[];
  env: Environment;
}

/** How to begin anew; nothing when all is as it should be, or this runs from sources. */
export function planRestart({ embeddedIn, argv0, words, env }: Executable) {
  if (!embeddedIn.startsWith("/$bunfs/")) return undefined;
  // What somebody has set counts, and a process that was begun anew has all of them.
  const missing = Object.entries(AGENT_ENGINE).filter(([name]) => env[name] === undefined);
  if (missing.length === 0) return undefined;
  return { argv: [argv0, ...words], env: { ...env, ...Object.fromEntries(missing) } };
}

/**
 * Makes this process an agent's: it becomes the same program once more, with the engine's settings.
 * Process id, standard streams, working directory and parent stay. Nothing may have been read from
 * standard input, and nothing be open, before. Where it can't be done the agent needs more memory,
 * and is otherwise the same.
 */
export function becomeFrugal(executable: Executable): void {
  const plan = planRestart(executable);
  const { path } = executable;
  // An executable that was replaced or removed since it started has no path any more.
  if (plan !== undefined && existsSync(path)) becomeAnother(path, plan.argv, plan.env);
}

/**
 * Makes this process run another executable, or the same one anew. Returns only where that can't
 * be done: it is forbidden, by a sandbox for instance, or the file is none that can be run.
 */
export function becomeAnother(path: string, argv: string[], env: Environment): void {
  try {
    (process as CanBecomeAnother).execve?.(path, argv, env);
  } catch {
    // It goes on as it is.
  }
}
