import type { Command } from "commander";
import { OrchdError } from "../../lib/errors.ts";
import { formatBytes } from "../../lib/text.ts";
import type { BundleResult } from "../../model/bundle.ts";
import { nameOfKey } from "../../pki/release-key.ts";
import { ByteProgress } from "../archives/byte-progress.ts";
import { watched } from "../archives/read-archive.ts";
import { readKeyFile, streamOfBundle } from "../bundles/bundle-files.ts";
import { checkBundle } from "../bundles/check-bundle.ts";
import { changesOf, linesOf } from "../bundles/describe-bundle.ts";
import { followStacks } from "../bundles/follow-stacks.ts";
import { connect, newCommand, newRemoteCommand, printJson, printLines } from "../context.ts";
import { timeoutOption, type Context, type RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { createBundleCommand } from "./bundle-create.ts";

interface ApplyOptions extends RemoteOptions {
  trust?: string;
  detach?: boolean;
  timeout: number;
}

interface InspectOptions {
  trust?: string;
  json?: boolean;
}

export function bundleCommand(context: Context): Command {
  return newCommand({
    name: "bundle",
    description:
      "Everything for a site in one signed file: stacks, configs, secrets that only the site can " +
      "open, images, and a new orchd, to be carried on a stick where no network leads.",
    examples: [
      "orchd bundle key                        # at the site: what secrets are sealed with",
      "orchd bundle create site.tar shop --for KEY",
      "orchd bundle apply site.tar",
    ],
  })
    .addCommand(createBundleCommand(context))
    .addCommand(applyCommand(context))
    .addCommand(inspectCommand(context))
    .addCommand(keyCommand(context))
    .addCommand(haveCommand(context));
}

function applyCommand(context: Context): Command {
  return newRemoteCommand({
    name: "apply",
    description:
      "Makes the site be what a bundle says. Its signature and each byte are checked before " +
      "anything is changed; a bundle that was applied before changes nothing.",
    examples: ["orchd bundle apply site.tar", "orchd bundle apply site.tar --trust release.pem"],
  })
    .name("apply")
    .argument("<file>", "a bundle, or - for standard input")
    .option("--trust <file>", "take bundles that are signed with this public key (PEM) too")
    .option("-d, --detach", "do not wait until its stacks have converged")
    .addOption(timeoutOption())
    .action(async (file: string, options: ApplyOptions) => {
      context.exitCode = await applyBundle(context, file, options);
    });
}

async function applyBundle(context: Context, file: string, options: ApplyOptions): Promise<number> {
  const { io } = context;
  const trust = options.trust === undefined ? undefined : readKeyFile(io, options.trust);
  const stream = streamOfBundle(io, file);
  const client = await connect(context, options);
  const progress = new ByteProgress(io, "applying");
  let result: BundleResult;
  try {
    result = await client.bundles.apply(watched(stream, progress), { trust });
  } finally {
    await progress.end();
  }
  const json = options.json === true;
  if (!json) await tell(context, result);
  if (!result.changed || options.detach === true) {
    if (json) await printJson(io, { ...result, outcome: result.changed ? "detached" : "done" });
    return 0;
  }
  const { code, outcome } = await followStacks(context, client, result, options);
  if (json) await printJson(io, { ...result, outcome });
  return code;
}

async function tell({ io }: Context, result: BundleResult): Promise<void> {
  if (!result.changed) {
    return printLines(io, ["All that is in the bundle is here already: nothing was changed."]);
  }
  await printLines(io, changesOf(result).map(cleanText));
  for (const { node, problem } of result.nodes) {
    if (problem === undefined) continue;
    const when = "it tries again when a task there needs it";
    await io.stderr.write(cleanText(`${node} does not have all of it, ${when}: ${problem}`) + "\n");
  }
}

function inspectCommand(context: Context): Command {
  return newCommand({
    name: "inspect",
    description: "Checks each byte of a bundle and tells what it holds; asks no server.",
    examples: ["orchd bundle inspect site.tar", "orchd bundle inspect site.tar --json"],
  })
    .name("inspect")
    .argument("<file>", "a bundle, or - for standard input")
    .option("--trust <file>", "fail unless it is signed with this public key (PEM)")
    .option("--json", "print JSON")
    .action((file: string, options: InspectOptions) => inspectBundle(context, file, options));
}

async function inspectBundle(
  { io }: Context,
  file: string,
  options: InspectOptions,
): Promise<void> {
  const trusted = options.trust === undefined ? undefined : readKeyFile(io, options.trust);
  const progress = new ByteProgress(io, "checking");
  let found;
  try {
    found = await checkBundle(streamOfBundle(io, file), (bytes) => progress.add(bytes));
  } finally {
    await progress.end();
  }
  const { manifest, signedBy, bytes } = found;
  if (trusted !== undefined && nameOfKey(trusted) !== signedBy) {
    const message = `${file} is whole, and signed with another key than ${options.trust}`;
    throw new OrchdError("forbidden", message);
  }
  if (options.json === true) return printJson(io, { ...manifest, signedBy, bytes });
  const { createdAt, orchdVersion } = manifest;
  const made = `made by orchd ${orchdVersion} at ${new Date(createdAt).toISOString()}`;
  const head = [`whole, ${formatBytes(bytes)}, ${made}`, `signed with the key ${signedBy}`];
  await printLines(io, [...head, ...linesOf(manifest)].map(cleanText));
}

function keyCommand(context: Context): Command {
  return newRemoteCommand({
    name: "key",
    description:
      "Prints what secrets for this cluster are sealed with: one line, for --for of\n" +
      "orchd bundle create. It opens nothing. With --signing, prints the public key that this " +
      "cluster's own bundles are checked with, for --trust of orchd bundle apply.",
    examples: ["orchd bundle key", "orchd bundle key --signing > headquarters.pem"],
  })
    .name("key")
    .option("--signing", "print the public key of bundles that this cluster signs, as PEM")
    .action(async (options: RemoteOptions & { signing?: boolean }) => {
      const keys = await (await connect(context, options)).bundles.keys();
      if (options.json === true) return printJson(context.io, keys);
      await printLines(context.io, [options.signing === true ? keys.signing.trim() : keys.sealing]);
    });
}

function haveCommand(context: Context): Command {
  return newRemoteCommand({
    name: "have",
    description:
      "Prints which parts of images this site has, a line each: with --have of `orchd bundle " +
      "create`, a bundle for it leaves them out.",
    examples: ["orchd bundle have > site.have"],
  })
    .name("have")
    .action(async (options: RemoteOptions) => {
      const digests = await (await connect(context, options)).bundles.blobs();
      if (options.json === true) return printJson(context.io, digests.sort());
      await printLines(context.io, digests.sort());
    });
}
