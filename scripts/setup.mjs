// Installs the project's own packages when they are missing or not those of the lockfile. Plain
// JavaScript for plain Node: it runs before anything that it installs is there.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bunPackage = join(root, "node_modules", "bun");

const reason = whyInstall();
if (reason !== undefined) {
  console.log(`Installing packages with npm ci: ${reason}.`);
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: "inherit",
  });
}
if (!bunRuns()) {
  // npm may be set up not to run install scripts; Bun's only links its executable into place.
  execFileSync(process.execPath, ["install.js"], { cwd: bunPackage, stdio: "inherit" });
}
if (!bunRuns()) {
  console.error("Bun does not start: see the messages above, then run `npm ci` again.");
  process.exitCode = 1;
}

/** Why the packages must be installed, or nothing when those of the lockfile are there. */
function whyInstall() {
  const wanted = packagesIn(join(root, "package-lock.json"));
  const installed = packagesIn(join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined) return "there are none yet";
  for (const [path, { version, optional }] of Object.entries(wanted ?? {})) {
    const found = installed[path]?.version;
    if (path === "" || found === version || (found === undefined && optional)) continue;
    return `${path} is ${found ?? "missing"} and should be ${version}`;
  }
  return undefined;
}

function packagesIn(lockfile) {
  return existsSync(lockfile) ? JSON.parse(readFileSync(lockfile, "utf8")).packages : undefined;
}

function bunRuns() {
  return spawnSync(join(root, "node_modules", ".bin", "bun"), ["--version"]).status === 0;
}
