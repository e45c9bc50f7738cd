import { Option, type Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import { plural } from "../../lib/text.ts";
import { type UpgradeRequest, type UpgradeStatus, WITHIN_MS_DEFAULT } from "../../model/upgrade.ts";
import { ByteProgress } from "../archives/byte-progress.ts";
import { watched } from "../archives/read-archive.ts";
import { readKeyFile, streamOfBundle } from "../bundles/bundle-files.ts";
import { collect, connect, newRemoteCommand, parseCount, printJson } from "../context.ts";
import { printLines, timeArgument, timeoutOption, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import { type Column, formatTable } from "../output/table.ts";
import { followUpgrade, type UpgradeOutcome } from "../upgrade/follow-upgrade.ts";

interface UpgradeOptions extends RemoteOptions {
  bundle?: string;
  trust?: string;
  to?: string;
  nodes?: string[];
  on?: string[];
  parallel: number;
  within: number;
  force?: boolean;
  detach?: boolean;
  timeout: number;
}

const COLUMNS: readonly Column<UpgradeStatus["nodes"][number]>[] = [
  { title: "NODE", cell: ({ node }) => node },
  { title: "STATE", cell: ({ state }) => state },
  { title: "ORCHD", cell: ({ version }) => version },
  { title: "PROBLEM", cell: ({ problem }) => problem ?? "" },
];

const EXIT_CODES: Readonly<Record<UpgradeOutcome, number>> = {
  done: 0,
  deferred: 0,
  detached: 130,
  failed: 1,
  canceled: 1,
  timedOut: 4,
};

export function upgradeCommand(context: Context): Command {
  return (
    newRemoteCommand({
      name: "upgrade",
      description:
        "Has the nodes run another version of orchd, one after the other: from files, from a " +
        "bundle, or one that the site keeps. Containers go on. A node whose new orchd does not " +
        "come back goes back to the former one by itself, and no further node is told; a node " +
        "that is away gets it when it is back.",
      examples: [
        "orchd upgrade ./orchd-linux-x64 ./orchd-linux-arm64",
        "orchd upgrade --bundle site.tar",
        "orchd upgrade ./orchd-linux-x64 --nodes h2 --nodes h3 --parallel 2",
        "orchd upgrade status",
        "orchd upgrade cancel",
      ],
    })
      .argument("[file...]", "executables of one version, for each kind of machine one")
      .option("--bundle <file>", "take the executables of this bundle")
      .option("--trust <file>", "take a bundle that is signed with this public key (PEM) too")
      .option(
        "--to <version>",
        "a version that the site keeps (default: of the files, or the newest)",
      )
      .option("--nodes <name>", "only this node; may be repeated", collect)
      .option("--on <label>", "only nodes with this label, as zone=hall; may be repeated", collect)
      .addOption(
        new Option("--parallel <count>", "so many nodes at once").default(1).argParser(parseCount),
      )
      .addOption(
        new Option("--within <time>", "how long the new orchd has to be back in the cluster")
          .default(WITHIN_MS_DEFAULT, "2m")
          .argParser(timeArgument),
      )
      .option("--force", "take an older version too, and the same one anew")
      .option("-d, --detach", "do not wait until it is done")
      .addOption(timeoutOption())
      .action(async (files: string[], options: UpgradeOptions) => {
        context.exitCode = await upgrade(context, files, options);
      })
      .helpCommand(false)
      // What stands behind `status` is its own.
      .enablePositionalOptions()
      .addCommand(statusCommand(context))
      .addCommand(cancelCommand(context))
  );
}

async function upgrade(
  context: Context,
  files: readonly string[],
  options: UpgradeOptions,
): Promise<number> {
  const { io } = context;
  if (options.bundle !== undefined && files.length > 0) {
    throw usageError("name files or a bundle, and not both");
  }
  const client = await connect(context, options);
  const brought = await bring(context, client, files, options);
  const [version, ...others] = [...new Set(brought)];
  if (others.length > 0) {
    throw usageError(`the files are of several versions: ${[version, ...others].join(", ")}`);
  }
  const status = await client.upgrade.begin(requestOf(options, options.to ?? version));
  const json = options.json === true;
  if (options.detach === true) {
    if (json) await printJson(io, { ...status, outcome: "detached" });
    else await printLines(io, [cleanText(summaryOf(status))]);
    return 0;
  }
  const { outcome, status: last } = await followUpgrade(context.io, {
    status,
    timeoutMs: options.timeout,
    json,
    connect: () => connect(context, options),
  });
  if (json) await printJson(io, { ...last, outcome });
  else {
    await tell(context, last, outcome);
    await tellOfServer(context, last);
  }
  return EXIT_CODES[outcome];
}

/** Has the site keep what is named; answers the versions. */
async function bring(
  { io }: Context,
  client: ApiClient,
  files: readonly string[],
  { bundle, trust }: UpgradeOptions,
): Promise<string[]> {
  const progress = new ByteProgress(io, "sending");
  try {
    if (bundle !== undefined) {
      const key = trust === undefined ? undefined : readKeyFile(io, trust);
      const stream = watched(streamOfBundle(io, bundle), progress);
      const result = await client.bundles.apply(stream, { trust: key, executablesOnly: true });
      return result.executables.map(({ version }) => version);
    }
    const versions: string[] = [];
    for (const file of files) {
      const stream = watched(streamOfBundle(io, file), progress);
      versions.push((await client.upgrade.upload(stream)).version);
    }
    return versions;
  } finally {
    await progress.end();
  }
}

function requestOf(options: UpgradeOptions, to: string | undefined): Partial<UpgradeRequest> {
  const { nodes, on = [], parallel, within, force = false } = options;
  const labels = on.map((text): [string, string] => {
    const at = text.indexOf("=");
    if (at <= 0) throw usageError(`--on ${text}: write it like zone=hall`);
    return [text.slice(0, at), text.slice(at + 1)];
  });
  return {
    ...(to === undefined ? {} : { to }),
    ...(nodes === undefined ? {} : { nodes }),
    labels: Object.fromEntries(labels),
    parallel,
    withinMs: within,
    force,
  };
}

async function tell(
  { io }: Context,
  status: UpgradeStatus,
  outcome: UpgradeOutcome,
): Promise<void> {
  const { to, nodes } = status;
  const done = nodes.filter(({ state }) => state === "done").length;
  const all = plural(nodes.length, "node");
  switch (outcome) {
    case "done":
      return printLines(io, [cleanText(`orchd ${to} runs on ${all}`)]);
    case "deferred": {
      const rest = `the others get it when they are back: \`orchd upgrade status\``;
      return printLines(io, [cleanText(`orchd ${to} runs on ${done} of ${all}; ${rest}`)]);
    }
    case "failed":
      await io.stderr.write(`No further node is told: ${done} of ${all} run it.\n`);
      return;
    case "canceled":
      await io.stderr.write(`It was canceled: ${done} of ${all} run it.\n`);
      return;
    case "timedOut":
    case "detached":
      await io.stderr.write("It goes on: see `orchd upgrade status`.\n");
  }
}

async function tellOfServer(
  { io }: Context,
  { to, serverVersion = to }: UpgradeStatus,
): Promise<void> {
  if (serverVersion === to) return;
  const message =
    `The server runs with --no-agent, and stays at orchd ${serverVersion}: ` +
    `put ${to} in its place by hand, and restart it.`;
  await io.stderr.write(cleanText(message) + "\n");
}

function statusCommand(context: Context): Command {
  return newRemoteCommand({
    name: "status",
    description: "Shows the upgrade that is under way, or was last, node by node.",
    examples: ["orchd upgrade status", "orchd upgrade status --json"],
  })
    .name("status")
    .action(async (options: RemoteOptions) => {
      const status = await (await connect(context, options)).upgrade.status();
      if (options.json === true) return printJson(context.io, status);
      await showStatus(context, status);
    });
}

function cancelCommand(context: Context): Command {
  return newRemoteCommand({
    name: "cancel",
    description:
      "Tells no more nodes of an upgrade. Those that were told come to its end; those that run " +
      "it go on doing so.",
    examples: ["orchd upgrade cancel"],
  })
    .name("cancel")
    .action(async (options: RemoteOptions) => {
      const status = await (await connect(context, options)).upgrade.cancel();
      if (options.json === true) return printJson(context.io, status);
      await showStatus(context, status);
    });
}

async function showStatus(context: Context, status: UpgradeStatus): Promise<void> {
  const { io } = context;
  const table = formatTable(COLUMNS, status.nodes, paintFor(io));
  await printLines(io, [cleanText(summaryOf(status)), "", ...table]);
  await tellOfServer(context, status);
}

function summaryOf({ to, state, nodes }: UpgradeStatus): string {
  const done = nodes.filter((node) => node.state === "done").length;
  return `orchd ${to}: ${state}, ${done} of ${plural(nodes.length, "node")} run it`;
}
