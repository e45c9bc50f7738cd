import * as fs from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import type { TaskId } from "../../model/ids.ts";
import type { Cgroups } from "./cgroups.ts";
import { identityOf } from "./identity.ts";
import type { ProcessFiles, ProcessIdentity } from "./process-files.ts";
import type { WholeStart } from "./process-plan.ts";
import { BEGUN, insideText, MONITOR, READY, REFUSED, setupText } from "./start-script.ts";
import type { Tools } from "./tools.ts";

/** How long everything before the program may take: mounts may be of a slow network. */
const READY_MS = 60_000;

/** A process that is ready, all but its program. */
export interface Launched {
  monitor: ProcessIdentity;
  /** What will be the program. */
  program: ProcessIdentity;
  /**
   * Lets it go on to its program; resolves when that has begun.
   * @throws OrchdError `runtime` when it has not
   */
  go(): Promise<void>;
  /** Gives it up: nothing was started. */
  abandon(): void;
}

export interface LaunchParts {
  files: ProcessFiles;
  cgroups: Cgroups;
  tools: Tools;
}

/**
 * Starts a task's monitor and the chain behind it, up to the program.
 * @throws OrchdError `runtime` with what the chain says
 */
export async function launch(
  taskId: TaskId,
  { plan, carried }: WholeStart,
  { files, cgroups, tools }: LaunchParts,
): Promise<Launched> {
  const { directory } = plan;
  const joinFiles = cgroups.joinFiles(taskId);
  const whole = { ...plan, joinFiles };
  files.script(taskId, "setup.sh", setupText(tools, whole));
  files.script(taskId, "inside.sh", insideText(tools, whole));
  const freezer = cgroups.freezerOf(taskId);
  const words = [
    directory,
    joinFiles[0] ?? "",
    freezer?.file ?? "",
    freezer?.hold ?? "",
    freezer?.release ?? "",
    cgroups.killFileOf(taskId) ?? "",
    files.exitPathOf(taskId),
  ];
  const child = Bun.spawn([tools.sh, "-c", MONITOR, "orchd-process", ...words], {
    stdio: ["pipe", "pipe", "ignore"],
    env: carried,
    cwd: "/",
    detached: true,
  });
  child.unref();
  const said = new Said(child.stdout);
  const giveUp = setTimeout(() => cgroups.kill(taskId), READY_MS);
  try {
    const pid = await said.ready();
    const [monitor, program] = [identityOf(child.pid), identityOf(pid ?? 0)];
    if (pid === undefined || monitor === undefined || program === undefined) {
      void child.stdin.end();
      await child.exited;
      throw new OrchdError("runtime", sentenceOf(said.text));
    }
    const go = async () => {
      void child.stdin.write("go\n");
      void child.stdin.end();
      await said.begun();
      if (!files.hasBegun(taskId)) throw new OrchdError("runtime", sentenceOf(said.text));
    };
    return { monitor, program, go, abandon: () => void child.stdin.end() };
  } finally {
    clearTimeout(giveUp);
  }
}

/** A new volume is its first user's, as there is no image to say whose it is. */
export function giveVolume(source: string, uid: number, gid: number): void {
  const found = fs.statSync(source, { throwIfNoEntry: false });
  if (uid === 0 || found?.isDirectory() !== true || found.uid !== 0) return;
  if (fs.readdirSync(source).length === 0) fs.chownSync(source, uid, gid);
}

/** What the chain says on its way. */
class Said {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The id that the program will have; undefined when the chain came to its end before. */
  async ready(): Promise<number | undefined> {
    const pattern = new RegExp(`^${READY} (\\d+)\\n`, "m");
    for (;;) {
      const pid = pattern.exec(this.text)?.[1];
      if (pid !== undefined) return Number(pid);
      if (!(await this.#more())) return undefined;
    }
  }

  /** Resolves when the program is next, or the chain came to its end before. */
  async begun(): Promise<void> {
    while (!this.text.includes(`${BEGUN}\n`) && (await this.#more()));
    void this.#chunks.return?.();
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.text += this.#decoder.decode(next.value, { stream: true });
    return true;
  }
}

/** One sentence of what shells and programs print. */
function sentenceOf(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  const own = lines.find((line) => line.startsWith(REFUSED) && !line.startsWith(READY));
  if (own !== undefined) return own.slice(REFUSED.length);
  const first = lines.find((line) => line !== "" && !line.startsWith(READY));
  return `the process could not be started: ${first ?? "it ended before its program began"}`;
}
