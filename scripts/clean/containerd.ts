import { existsSync } from "node:fs";
import { $ } from "zx";

/** The namespace that is orchd's alone. */
const NAMESPACE = "orchd";
/** A snapshot goes after those that are made upon it: an image has at most so many layers. */
const LAYERS_MAX = 128;
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

/** Of each line that is no heading. */
function firstWords({ stdout }: { stdout: string }): string[] {
  const lines = stdout.split("\n").filter((line) => !line.startsWith("KEY "));
  return lines.flatMap((line) => line.trim().split(/\s+/)[0] || []);
}
