import { type Breach, type Source } from "./source.ts";

// Some letters stand in brackets, so that this file does not break its own rules.
const UNFINISHED = /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/;
const REGISTRY = /registry\.(npm|yarn)|deb\.debian/;
const SLEEP = /\bBun\.sleep(Sync)?\(|\bset[T]imeout\(/;
const VACUOUS = /expect\((true|false|1|0)\)\s*\./;
const FOCUSED = /\b(test|it|describe)\.(only|todo|failing)\b/;
const UNTYPED = /@ts-(ignore|nocheck|expect-error)/;

interface TextRule {
  pattern: RegExp;
  message: string;
  applies(path: string): boolean;
}

const isCode = (path: string) => /^(src|scripts|tests)\/.*\.(ts|tsx|mjs|sh)$/.test(path);
const isTest = (path: string) => path.startsWith("tests/") && path.endsWith(".ts");

const TEXT_RULES: TextRule[] = [
  { pattern: UNFINISHED, message: "has an unfinished mark", applies: isCode },
  { pattern: REGISTRY, message: "names the host of a package registry", applies: () => true },
  { pattern: UNTYPED, message: "switches types off", applies: isCode },
  { pattern: SLEEP, message: "sleeps: wait for a condition with a deadline", applies: isTest },
  { pattern: VACUOUS, message: "expects what can't be otherwise", applies: isTest },
  { pattern: FOCUSED, message: "leaves out other tests, or stands for none", applies: isTest },
];

/** Words and calls that must not stand in a text, whatever its syntax. */
export function findBannedText(source: Source): Breach[] {
  const rules = TEXT_RULES.filter((rule) => rule.applies(source.path));
  return source.text
    .split("\n")
    .flatMap((line, index) =>
      rules
        .filter((rule) => rule.pattern.test(line))
        .map((rule) => ({ path: source.path, line: index + 1, message: rule.message })),
    );
}

/**
 * Entries that a lockfile lacks: npm leaves out the packages of platforms that its registry does
 * not carry, and `npm ci` then refuses the file everywhere.
 */
export function findLockfileGaps(source: Source): Breach[] {
  if (source.path !== "package-lock.json") return [];
  const { packages } = JSON.parse(source.text) as Lockfile;
  const breach = (message: string) => ({ path: source.path, line: 1, message });
  return Object.entries(packages).flatMap(([path, entry]) => {
    const wanted = Object.keys({ ...entry.dependencies, ...entry.optionalDependencies });
    const missing = wanted.filter((name) => !isLocked(packages, path, name));
    return missing.map((name) => breach(`${path} needs ${name}, which is not locked`));
  });
}

interface Lockfile {
  packages: Record<
    string,
    { dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }
  >;
}

/** Looks where Node looks: beside the package, then in each folder above it. */
function isLocked(packages: Lockfile["packages"], path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/")))) {
    const folder = at === "" || at.endsWith("/") ? at : `${at}/`;
    if (`${folder}node_modules/${name}` in packages) return true;
    if (at === "") return false;
  }
}

/** Folders of `src`, and of `src/core`, that do not say what they are for. */
export function findUnexplainedFolders(paths: readonly string[]): Breach[] {
  const folders = new Set<string>();
  for (const path of paths) {
    const folder = /^(src(?:\/core)?\/[^/]+)\/.+\.ts$/.exec(path)?.[1];
    if (folder !== undefined && folder !== "src/core") folders.add(folder);
    if (path.startsWith("src/")) folders.add("src");
  }
  return [...folders]
    .filter((folder) => !paths.includes(`${folder}/README.md`))
    .map((folder) => ({ path: folder, line: 1, message: "has no README.md" }));
}
