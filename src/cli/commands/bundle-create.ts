import type { Command } from "commander";
import { formatBytes } from "../../lib/text.ts";
import { ByteProgress } from "../archives/byte-progress.ts";
import { saveChecked } from "../archives/save-archive.ts";
import { readHaveFile, readKeyFile, readSealingKey } from "../bundles/bundle-files.ts";
import { BundleCheck } from "../bundles/check-bundle.ts";
import { type BundleWish, prepareBundle } from "../bundles/create-bundle.ts";
import { summaryOf } from "../bundles/describe-bundle.ts";
import { loadProject, withProjectOptions, type ProjectOptions } from "../compose/load-project.ts";
import { formatRefusal, printProblems } from "../compose/print-problems.ts";
import { collect, connect, newRemoteCommand, printJson, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";

interface CreateOptions extends RemoteOptions, ProjectOptions {
  image?: string[];
  for?: string;
  have?: string;
  orchd?: string[];
  key?: string;
}

export function createBundleCommand(context: Context): Command {
  const command = newRemoteCommand({
    name: "create",
    description:
      "Makes a bundle of stacks as they run here, or of a Compose file, with all that they need: " +
      "configs, images that this site keeps, and secrets, sealed so that only the target opens " +
      "them. It is signed with the key of this cluster, or with one of yours.",
    examples: [
      "orchd bundle create site.tar shop --for target.key",
      "orchd bundle create site.tar -f compose.yaml --key release.pem",
      "orchd bundle create update.tar shop --have site.have --orchd orchd-linux-arm64",
    ],
  })
    .name("create")
    .argument("<file>", "where to, or - for standard output")
    .argument("[stack...]", "stacks of the cluster, as they are now")
    .option("-f, --file <file>", "with the stack of a Compose file; several merge", collect);
  return withProjectOptions(command)
    .option("--image <image>", "with this image too; can be given several times", collect)
    .option(
      "--for <key>",
      "seal secrets for this target: what `orchd bundle key` prints, or a file",
    )
    .option("--have <file>", "leave out what the target has: what `orchd bundle have` prints")
    .option("--orchd <file>", "with this executable of orchd; can be given several times", collect)
    .option("--key <file>", "sign with this private key (PEM, Ed25519) instead of the cluster's")
    .action(async (file: string, stacks: string[], options: CreateOptions) => {
      context.exitCode = await createBundle(context, file, stacks, options);
    });
}

async function createBundle(
  context: Context,
  file: string,
  stacks: readonly string[],
  options: CreateOptions,
): Promise<number> {
  const { io, program } = context;
  const wish = await wishOf(context, stacks, options);
  if (wish === undefined) return 1;
  const stop = new AbortController();
  const end = io.onInterrupt(() => stop.abort());
  const progress = new ByteProgress(io, "writing");
  try {
    const made = { orchdVersion: program.build.version, signal: stop.signal };
    const prepared = await prepareBundle(io, () => connect(context, options), wish, made);
    const { pieces, leftOut } = prepared;
    const onBytes = (count: number) => progress.add(count);
    const check = new BundleCheck();
    const { manifest, signedBy, bytes } = await saveChecked(io, file, {
      stream: pieces,
      check,
      onBytes,
    });
    await progress.end();
    for (const item of leftOut) {
      const why = "it is left out: --for names the target that may open it";
      await io.stderr.write(`${cleanText(`${item}: ${why}`)}\n`);
    }
    if (options.json === true && file !== "-") {
      await printJson(io, { ...manifest, signedBy, bytes, file, leftOut });
    } else {
      const what = `${summaryOf(manifest)}; ${formatBytes(bytes)}, signed with the key ${signedBy}`;
      await io.stderr.write(`${cleanText(`saved in ${file}: ${what}`)}\n`);
    }
    return 0;
  } finally {
    end();
    await progress.end();
  }
}

/** Undefined when the Compose file is refused, which has been told. */
async function wishOf(
  context: Context,
  stacks: readonly string[],
  options: CreateOptions,
): Promise<BundleWish | undefined> {
  const { io } = context;
  const { image: images = [], orchd: executables = [] } = options;
  const asksFile = options.file !== undefined;
  if (stacks.length + images.length + executables.length === 0 && !asksFile) {
    throw usageError("name what is to be in it: stacks, -f FILE, --image or --orchd");
  }
  const signingKey = options.key === undefined ? {} : { signingKey: readKeyFile(io, options.key) };
  const wish: BundleWish = {
    stacks,
    images,
    executables,
    have: options.have === undefined ? [] : readHaveFile(io, options.have),
    ...(options.for === undefined ? {} : { sealFor: readSealingKey(io, options.for) }),
    ...signingKey,
  };
  if (!asksFile) return wish;
  const { name, spec, contents, problems } = await loadProject(context, options);
  const { formatProblem } = await import("../../core/compose/load.ts");
  const errors = await printProblems(io, problems, formatProblem);
  if (spec !== undefined && errors === 0) return { ...wish, project: { name, spec, contents } };
  await io.stderr.write(`${formatRefusal(errors)}\n`);
  return undefined;
}
