import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { arch } from "node:process";
import { $ } from "zx";
import { PROTOCOL } from "../src/session/frames.ts";
import { bun, dist, hashFiles, listFiles, orchd, root } from "./project.ts";

/** Bun's names for the machines that orchd is built for. */
const TARGETS = ["linux-x64", "linux-arm64"] as const;
type Target = (typeof TARGETS)[number];

const INPUTS = ["package.json", "package-lock.json", "scripts/build.ts"];

/**
 * Splitting keeps `orchd version` from loading the server; bytecode halves the start of the rest.
 * Neither `.env` nor `bunfig.toml` of the working directory may reach an orchestrator.
 */
const FLAGS = [
  "--compile",
  "--production",
  "--minify",
  "--keep-names",
  "--bytecode",
  "--format=esm",
  "--splitting",
  "--sourcemap",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

/** What is built otherwise than as it stands in the sources. */
interface BuildOptions {
  /** Absent means that of package.json. */
  version?: string;
  /** Absent means orchd itself. */
  entry?: string;
}

/** Builds one executable; migrations and pages are inside. */
export async function buildTarget(
  target: Target,
  outfile: string,
  { version = versionOf(), entry = "src/main.ts" }: BuildOptions = {},
): Promise<void> {
  mkdirSync(dist, { recursive: true });
  // Bun leaves source maps beside the executable, which are of no use: they are embedded as well.
  const draft = mkdtempSync(join(dist, "build-"));
  const result = await $({
    cwd: root,
    quiet: true,
    nothrow: true,
  })`${bun} build ${FLAGS} --target=bun-${target} ${[
    `--define=ORCHD_BUILD=${JSON.stringify(markOf(target, version, await readCommit()))}`,
    entry,
    "--asset=./src/store/migrations",
    `--outfile=${join(draft, "orchd")}`,
  ]}`;
  const built = result.exitCode === 0;
  // A rename leaves an executable that is running just now as it is.
  if (built) renameSync(join(draft, "orchd"), outfile);
  rmSync(draft, { recursive: true });
  if (!built) throw new Error(`${outfile} was not built:\n${result.stderr}`);
}

/** Builds `dist/orchd` for this machine, unless it is of these very sources already. */
export async function buildForThisMachine(): Promise<"built" | "fresh"> {
  const stamp = join(dist, "orchd.sources");
  const hash = hashFiles([...listFiles("src").filter((path) => !path.endsWith(".md")), ...INPUTS]);
  const known = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  if (existsSync(orchd) && known === hash) return "fresh";
  rmSync(stamp, { force: true });
  await buildTarget(hostTarget(), orchd);
  writeFileSync(stamp, hash);
  return "built";
}

export function hostTarget(): Target {
  const target = TARGETS.find((name) => name === `linux-${arch}`);
  if (target === undefined) throw new Error(`orchd is not built for ${arch}: x64 and arm64 are`);
  return target;
}

/** What an executable says of itself without being run: see src/core/upgrade/build-mark.ts. */
function markOf(target: Target, version: string, commit: string): string {
  const platform = target.replace("-x64", "/amd64").replace("-arm64", "/arm64");
  const what = `version=${version};commit=${commit};platform=${platform}`;
  return `orchd-build:${what};protocol=${PROTOCOL};end`;
}

function versionOf(): string {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    version: string;
  };
  return version;
}

/** The commit that is built, marked where files differ from it. */
async function readCommit(): Promise<string> {
  const git = $({ cwd: root, quiet: true, nothrow: true });
  const head = await git`git rev-parse --short=12 HEAD`;
  if (head.exitCode !== 0) return "unknown";
  const changes = await git`git status --porcelain -- src`;
  return head.stdout.trim() + (changes.stdout === "" ? "" : "+changes");
}

async function buildAll(): Promise<void> {
  const sums: string[] = [];
  for (const target of TARGETS) {
    const outfile = join(dist, `orchd-${target}`);
    await buildTarget(target, outfile);
    const sum = createHash("sha256").update(readFileSync(outfile)).digest("hex");
    sums.push(`${sum}  ${basename(outfile)}\n`);
    console.log(`Built ${outfile}`);
  }
  writeFileSync(join(dist, "SHA256SUMS"), sums.join(""));
  console.log(`Checksums: ${join(dist, "SHA256SUMS")}`);
}

/** `--version 1.2.3 --outfile PATH`: another version of the same sources, to try upgrades with. */
async function buildOther(version: string): Promise<void> {
  const outfile = process.argv[process.argv.indexOf("--outfile") + 1] ?? "";
  if (!process.argv.includes("--outfile") || outfile === "") throw new Error("name an --outfile");
  await buildTarget(hostTarget(), outfile, { version });
  console.log(`Built ${outfile}`);
}

async function main(): Promise<void> {
  const at = process.argv.indexOf("--version");
  if (at > 0) await buildOther(process.argv[at + 1] ?? "");
  else if (process.argv.includes("--all")) await buildAll();
  else console.log(`${orchd} is ${await buildForThisMachine()}`);
}

if (process.argv[1] === import.meta.filename) {
  await main().catch((error: unknown) => {
    // What the bundler says is meant for people; a stack of this script would hide it.
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
