import * as fs from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { TaskId } from "../../model/ids.ts";
import { taskIdSchema } from "../../model/ids.ts";

const stateSchema = z.object({
  /** Milliseconds since 1970; absent before the first start. */
  startedAt: z.number().optional(),
  /** Of the machine, by which its own start is known: one that was then has no processes now. */
  boot: z.string().optional(),
  exit: z
    .object({ code: z.number(), at: z.number().optional(), outOfMemory: z.boolean() })
    .optional(),
});
export type KeptState = z.infer<typeof stateSchema>;

/** The kernel's name for the time since the machine was started. */
export function readBoot(): string {
  return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/**
 * What containerd does not keep of a container: when it began, how it ended, its log and its files
 * of /etc. A directory each, below the node's data.
 */
export class ContainerFiles {
  readonly #directory: string;
  readonly #states = new Map<TaskId, KeptState>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  pathOf(taskId: TaskId): string {
    return join(this.#directory, taskId);
  }

  make(taskId: TaskId, etc: ReadonlyMap<string, string>): void {
    const path = this.pathOf(taskId);
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
    fs.mkdirSync(join(path, "etc"), { recursive: true, mode: 0o755 });
    for (const [name, text] of etc) fs.writeFileSync(join(path, "etc", name), text);
    this.write(taskId, {});
  }

  etcOf(taskId: TaskId, names: Iterable<string>): Map<string, string> {
    return new Map([...names].map((name) => [name, join(this.pathOf(taskId), "etc", name)]));
  }

  read(taskId: TaskId): KeptState {
    const known = this.#states.get(taskId);
    if (known !== undefined) return known;
    let state: KeptState = {};
    try {
      const text = fs.readFileSync(join(this.pathOf(taskId), "state.json"), "utf8");
      state = stateSchema.safeParse(JSON.parse(text)).data ?? {};
    } catch {
      // Lost with the machine's power: what containerd says is all that is known.
    }
    this.#states.set(taskId, state);
    return state;
  }

  /** Nothing for a container whose directory is gone. */
  write(taskId: TaskId, state: KeptState): void {
    const path = join(this.pathOf(taskId), "state.json");
    this.#states.set(taskId, state);
    if (!fs.existsSync(this.pathOf(taskId))) return;
    fs.writeFileSync(`${path}.new`, JSON.stringify(state));
    fs.renameSync(`${path}.new`, path);
  }

  remove(taskId: TaskId): void {
    this.#states.delete(taskId);
    fs.rmSync(this.pathOf(taskId), { recursive: true, force: true });
  }

  /** The tasks that have a directory. */
  all(): TaskId[] {
    if (!fs.existsSync(this.#directory)) return [];
    return fs
      .readdirSync(this.#directory)
      .flatMap((name) => taskIdSchema.safeParse(name).data ?? []);
  }
}
