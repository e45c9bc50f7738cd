import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { bun, listFiles, root } from "../project.ts";

/** A program that passes or fails as a whole. */
export interface Check {
  name: string;
  command: string[];
}

/** One group of checks, by the kind of what it looks at. */
export interface Suite {
  name: string;
  checks: Check[];
  /** Files for `bun test`. */
  files: string[];
  timeoutMs: number;
}

/** Against what hangs; a busy machine takes seconds for tests that turn over megabytes. */
const UNIT_TIMEOUT_MS = 20_000;
const CLUSTER_TIMEOUT_MS = 60_000;
const TIDY = "tests/unit/tidy.test.ts";

const program = (name: string) => join(root, "node_modules", ".bin", name);

/** Every suite, the quickest to tell of a mistake first. */
export function listSuites(): Suite[] {
  const ofChecks = (name: string, checks: Check[]): Suite => {
    return { name, checks, files: [], timeoutMs: 0 };
  };
  const ofFolder = (name: string, timeoutMs: number): Suite => {
    return { name, checks: [], files: testFiles(name), timeoutMs };
  };
  return [
    ofChecks("types", [{ name: "bun check", command: [bun, "check", "--no-script"] }]),
    ofChecks("lint", [
      { name: "oxlint", command: [program("oxlint"), "--type-aware", "--deny-warnings"] },
      { name: "bun fmt", command: [bun, "fmt", "--no-script", "--check"] },
      { name: "knip", command: [program("knip"), "--no-progress"] },
    ]),
    { name: "tidy", checks: [], files: [TIDY], timeoutMs: UNIT_TIMEOUT_MS },
    ofFolder("unit", UNIT_TIMEOUT_MS),
    ofFolder("property", CLUSTER_TIMEOUT_MS),
    ofFolder("golden", UNIT_TIMEOUT_MS),
    ofFolder("sim", CLUSTER_TIMEOUT_MS),
    ofFolder("conformance", CLUSTER_TIMEOUT_MS),
    ofFolder("e2e", CLUSTER_TIMEOUT_MS),
  ];
}

const MACHINE = /podman|containerd|docker|process|odd-machines|^clean\.|gossip-serf|dns-dig/;

/** Whether the file needs containers, serf or dig, and so root and Debian's packages. */
export function needsMachine(file: string): boolean {
  return file.startsWith("tests/e2e/") || MACHINE.test(basename(file));
}

function testFiles(name: string): string[] {
  if (!existsSync(join(root, "tests", name))) return [];
  const files = listFiles(join("tests", name));
  return files.filter((file) => file.endsWith(".test.ts") && file !== TIDY);
}
