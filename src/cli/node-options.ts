import { Option } from "commander";
import type { GossipPreset } from "../model/gossip-preset.ts";
import { collect, parseIp, pathFrom, usageError } from "./context.ts";
import type { Io } from "./io.ts";
import {
  gossipPortOption,
  gossipPresetOption,
  type IngressPortFlags,
  ingressPortOptions,
  ingressPortsFrom,
} from "./port-options.ts";
import type { NodeOptions } from "./program.ts";
import { type RuntimeFlags, runtimeFrom, runtimeOptions } from "./runtime-options.ts";
import { DATA_DIR_DEFAULT, RUN_DIR_DEFAULT, runDirOf } from "./socket-path.ts";

/** What `nodeOptions` make of a command line. */
export interface NodeFlags extends RuntimeFlags, IngressPortFlags {
  dataDir: string;
  runDir?: string;
  advertise?: string;
  gossipPort: number;
  gossipPreset?: GossipPreset;
  resource?: string[];
  allowBind?: string[];
  ingressLog?: boolean;
}

/** What can be said of a machine wherever one becomes a node. */
export function nodeOptions(io: Io): Option[] {
  return [
    new Option("--data-dir <dir>", "where the state is kept")
      .default(io.env["ORCHD_DATA_DIR"] || DATA_DIR_DEFAULT)
      .helpGroup("Options:"),
    new Option(
      "--run-dir <dir>",
      `where sockets are (default: ${RUN_DIR_DEFAULT}, or the data directory when that is named)`,
    ),
    new Option(
      "--advertise <ip>",
      "address by which others reach this node (default: found out)",
    ).argParser(parseIp),
    gossipPortOption(),
    gossipPresetOption(),
    new Option(
      "--resource <kind=count>",
      "what the machine has for tasks that reserve it; can be given several times",
    ).argParser(collect),
    new Option(
      "--allow-bind <path>",
      "tasks may mount this directory and no other, or none; can be given several times",
    ).argParser(collect),
    ...runtimeOptions(),
    ...ingressPortOptions(),
    new Option("--ingress-log", "write a line for each of these requests"),
  ];
}

export function nodeFrom(io: Io, flags: NodeFlags): NodeOptions {
  const { runDir, advertise, ingressLog: log = false } = flags;
  const dataDir = pathFrom(io, flags.dataDir);
  return {
    dataDir,
    runDir: runDir === undefined ? runDirOf(dataDir) : pathFrom(io, runDir),
    ...(advertise === undefined ? {} : { advertise }),
    ...resourcesFrom(io, flags.resource),
    ...allowBindFrom(io, flags.allowBind),
    ingress: { ...ingressPortsFrom(flags), log },
    ...runtimeFrom(io, flags),
  };
}

const RESOURCE = /^([a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?)=(\d{1,9})$/;

/** What the options say, `lora=2`, or else the environment, in which blanks part several. */
function resourcesFrom(
  io: Io,
  given: readonly string[] | undefined,
): { resources?: Record<string, number> } {
  const texts = given ?? io.env["ORCHD_RESOURCES"]?.split(/[\s,]+/).filter(Boolean) ?? [];
  const pairs = texts.map((text): [string, number] => {
    const [, kind, count] = RESOURCE.exec(text) ?? [];
    if (kind === undefined) {
      throw usageError(`a resource must be written like lora=2, not ${JSON.stringify(text)}`);
    }
    return [kind, Number(count)];
  });
  return pairs.length === 0 ? {} : { resources: Object.fromEntries(pairs) };
}

/** What the options say, or else the environment, in which colons part several. */
function allowBindFrom(io: Io, given: readonly string[] | undefined): { allowBind?: string[] } {
  const paths = given ?? io.env["ORCHD_ALLOW_BIND"]?.split(":").filter(Boolean);
  if (paths === undefined) return {};
  if (paths.includes("none") && paths.length > 1) {
    throw usageError("--allow-bind none goes with no other --allow-bind");
  }
  return { allowBind: paths.filter((path) => path !== "none").map((path) => pathFrom(io, path)) };
}
