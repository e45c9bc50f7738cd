import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { formatVersion } from "./cli/build-info.ts";
import { dataDirOf } from "./cli/data-dir-of.ts";
import { splitCommand } from "./cli/split-command.ts";
import { SLOTS_FILE } from "./model/slots-file.ts";

/**
 * Put in by the build, see `core/upgrade/build-mark.ts`: an executable can be told by it without
 * being run. There is none when this runs from the sources.
 */
declare const ORCHD_BUILD: string | undefined;

const mark = typeof ORCHD_BUILD === "string" ? ORCHD_BUILD : "";
const build = {
  version: /version=([^;]+);/.exec(mark)?.[1] ?? manifest.version,
  commit: /commit=([^;]+);/.exec(mark)?.[1] ?? "unknown",
};

/** Whether this is an executable of its own, and not the sources. */
const isEmbedded = import.meta.dir.startsWith("/$bunfs/");

/** Runs one command line; each role is loaded only when it is asked for. */
async function main(argv: string[]): Promise<number> {
  const [command, ...rest] = argv;
  const isVersion = command === "version" || command === "--version" || command === "-v";
  if (isVersion && (rest.length === 0 || (rest.length === 1 && rest[0] === "--json"))) {
    process.stdout.write(formatVersion(build, rest.length === 1));
    return 0;
  }
  const { name } = splitCommand(argv);
  const exitCode = name === "join" || name === "server" ? await launchRole(argv) : undefined;
  if (exitCode !== undefined) return exitCode;
  if (name === "join") await becomeAgent(argv);
  const self = isEmbedded ? ownProcess(argv) : undefined;
  const { processIo } = await import("./cli/process-io.ts");
  const { runCli } = await import("./cli/run.ts");
  return runCli(argv, processIo(), {
    build,
    startServer: async (options) =>
      (await import("./server/main.ts")).runServer({ ...options, build }, self),
    restoreCluster: async (options) => {
      const { restoreCluster } = await import("./server/backup/restore-cluster.ts");
      const { manifest, ...rest } = await restoreCluster({ ...options, now: Date.now() });
      const { createdAt, nodes, services } = manifest;
      return { createdAt, nodes, services, ...rest };
    },
    examineMachine: async (options) =>
      (await import("./agent/doctor/examine.ts")).examineMachine(options),
    startAgent: async (options) => {
      // Schemas that compile themselves take a megabyte, and little is validated here.
      (await import("zod")).config({ jitless: true });
      const { runAgent } = await import("./agent/main.ts");
      return runAgent({ ...options, orchdVersion: build.version }, self);
    },
  });
}

/** Finds out which executable is to run, where there was ever another one. */
async function launchRole(argv: readonly string[]): Promise<number | undefined> {
  const dataDir = dataDirOf(argv, process.env, process.cwd());
  if (!isEmbedded || !existsSync(join(dataDir, SLOTS_FILE))) return undefined;
  const { launchOwn } = await import("./agent/upgrade/own-process.ts");
  return launchOwn(ownProcess(argv), dataDir);
}

function ownProcess(words: readonly string[]) {
  return { argv0: process.argv0, words, env: process.env };
}

/** Before anything else is loaded, since it begins anew. */
async function becomeAgent(words: string[]): Promise<void> {
  const { becomeFrugal } = await import("./agent/engine.ts");
  const { execPath: path, argv0, env } = process;
  becomeFrugal({ embeddedIn: import.meta.dir, path, argv0, words, env });
}

// Never process.exit here: it would cut off what a pipe has not taken yet.
process.exitCode = await main(process.argv.slice(2));
