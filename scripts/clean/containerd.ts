import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { $ } from "zx";

/** The namespace that is orchd's alone. */
const NAMESPACE = "orchd";
/** A snapshot goes after those that are made upon it: an image has at most so many layers. */
const LAYERS_MAX = 128;
const START_MS = 15_000;
const LOOK_AGAIN_MS = 50;
const quiet = $({ quiet: true, nothrow: true });

/** Removes orchd's namespace from a containerd, with all that is in it; nothing where none is. */
export async function cleanContainerd(socket: string): Promise<void> {
  if (!existsSync(socket)) return;
  const ctr = ["ctr", "--address", socket, "--namespace", NAMESPACE];
  const each = async (list: string[], remove: string[]) => {
    const names = firstWords(await quiet`${ctr} ${list}`);
    for (const name of names) await quiet`${ctr} ${remove} ${name}`;
    return names.length;
  };
  await each(["task", "ls", "--quiet"], ["task", "rm", "--force"]);
  await each(["container", "ls", "--quiet"], ["container", "rm"]);
  await each(["image", "ls", "--quiet"], ["image", "rm", "--sync"]);
  await each(["lease", "ls", "--quiet"], ["lease", "rm", "--sync"]);
  for (let layer = 0; layer < LAYERS_MAX; layer++) {
    if ((await each(["snapshot", "ls"], ["snapshot", "rm"])) === 0) break;
  }
  await each(["content", "ls", "--quiet"], ["content", "rm"]);
  await quiet`ctr --address ${socket} namespace rm ${NAMESPACE}`;
}

/**
 * The same for a containerd that orchd has started: it ended with the server, and its containers
 * went on, so it is started once more.
 */
export async function cleanOwnContainerd(runDir: string): Promise<void> {
  const config = join(runDir, "containerd.toml");
  const socket = join(runDir, "containerd.sock");
  if (!existsSync(config)) return;
  const found = findContainerd(config);
  const pid = found ?? spawn("containerd", ["--config", config], { stdio: "ignore" }).pid;
  if (pid === undefined) return;
  const isThere = () => existsSync(`/proc/${pid}`);
  const answers = async () => (await quiet`ctr --address ${socket} version`).exitCode === 0;
  const deadline = Date.now() + START_MS;
  while (isThere() && !(await answers()) && Date.now() < deadline) await pause(LOOK_AGAIN_MS);
  await cleanContainerd(socket);
  if (isThere()) process.kill(pid, "SIGTERM");
  while (isThere() && Date.now() < deadline + START_MS) await pause(LOOK_AGAIN_MS);
}

/** The process of the containerd that has this configuration. */
function findContainerd(config: string): number | undefined {
  const found = readdirSync("/proc").find((entry) => {
    const [program = "", ...words] = commandLineOf(entry);
    return basename(program) === "containerd" && words.includes(config);
  });
  return found === undefined ? undefined : Number(found);
}

function commandLineOf(entry: string): string[] {
  if (!/^\d+$/.test(entry)) return [];
  try {
    return readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

/** Of each line that is no heading. */
function firstWords({ stdout }: { stdout: string }): string[] {
  const lines = stdout.split("\n").filter((line) => !line.startsWith("KEY "));
  return lines.flatMap((line) => line.trim().split(/\s+/)[0] || []);
}
