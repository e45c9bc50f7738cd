import * as fs from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { containerSpecSchema, resourcesSchema } from "../../model/container.ts";
import { type TaskId, taskIdSchema } from "../../model/ids.ts";

const EXIT = ".exit";

const planSchema = z.object({
  container: containerSpecSchema,
  resources: resourcesSchema,
  address: z.string().optional(),
  networkTask: taskIdSchema.optional(),
  resolver: z.object({ server: z.string(), search: z.array(z.string()) }).optional(),
  /** What is mounted, as mount(8) takes it. */
  mounts: z.array(
    z.object({
      source: z.string(),
      destination: z.string(),
      type: z.string(),
      options: z.array(z.string()),
    }),
  ),
});
/** What a task's process is to be. */
export type KeptPlan = z.infer<typeof planSchema>;

/** A process, which its id alone does not name: ids are used again. */
const identitySchema = z.object({ pid: z.int().min(2), startTime: z.string() });
export type ProcessIdentity = z.infer<typeof identitySchema>;

const stateSchema = z.object({
  /** Milliseconds since 1970: when it was told to go. */
  startedAt: z.number(),
  /** Of the machine: what was started before its own last start has ended. */
  boot: z.string(),
  monitor: identitySchema,
  program: identitySchema,
  exit: z
    .object({ code: z.number(), at: z.number().optional(), outOfMemory: z.boolean() })
    .optional(),
});
export type KeptProcess = z.infer<typeof stateSchema>;

/** What there is of each task on the disk: a directory below the node's data. */
export class ProcessFiles {
  readonly directory: string;
  /** They never change. */
  readonly #plans = new Map<TaskId, KeptPlan>();

  constructor(directory: string) {
    this.directory = directory;
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  pathOf(taskId: TaskId): string {
    return join(this.directory, taskId);
  }

  has(taskId: TaskId): boolean {
    return fs.existsSync(join(this.pathOf(taskId), "plan.json"));
  }

  all(): TaskId[] {
    const names = fs.existsSync(this.directory) ? fs.readdirSync(this.directory) : [];
    return [...new Set(names.flatMap((name) => taskOfFile(name) ?? []))];
  }

  /** The last that is written is the plan: without it there is nothing of a task. */
  make(taskId: TaskId, plan: KeptPlan, etc: ReadonlyMap<string, string>): void {
    const path = this.pathOf(taskId);
    this.remove(taskId);
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const name of ["tmp", "var-tmp"]) {
      fs.mkdirSync(join(path, name));
      fs.chmodSync(join(path, name), 0o1777);
    }
    fs.mkdirSync(join(path, "etc"), { mode: 0o755 });
    for (const [name, text] of etc) fs.writeFileSync(join(path, "etc", name), text);
    write(join(path, "plan.json"), JSON.stringify(plan));
  }

  plan(taskId: TaskId): KeptPlan | undefined {
    if (!this.has(taskId)) {
      this.#plans.delete(taskId);
      return undefined;
    }
    const plan =
      this.#plans.get(taskId) ?? read(join(this.pathOf(taskId), "plan.json"), planSchema);
    if (plan !== undefined) this.#plans.set(taskId, plan);
    return plan;
  }

  /** Undefined before a start. */
  process(taskId: TaskId): KeptProcess | undefined {
    return read(join(this.pathOf(taskId), "process.json"), stateSchema);
  }

  setProcess(taskId: TaskId, state: KeptProcess): void {
    if (!this.has(taskId)) return;
    write(join(this.pathOf(taskId), "process.json"), JSON.stringify(state));
  }

  /** Whether the program was begun: what an agent that was killed meanwhile has not seen. */
  hasBegun(taskId: TaskId): boolean {
    const found = fs.statSync(join(this.pathOf(taskId), "begun"), { throwIfNoEntry: false });
    return (found?.size ?? 0) > 0;
  }

  /** Where its monitor writes how the program ended: beside all others, so that one look does. */
  exitPathOf(taskId: TaskId): string {
    return join(this.directory, `${taskId}${EXIT}`);
  }

  /** How the program ended, by its monitor; undefined while that has not said so. */
  exit(taskId: TaskId, program: ProcessIdentity): { code: number; at: number } | undefined {
    const path = this.exitPathOf(taskId);
    try {
      const [code = "", pid] = fs.readFileSync(path, "utf8").trim().split(" ");
      // The monitor of a start that came to nothing may have been late.
      if (pid !== String(program.pid) || !/^\d+$/.test(code)) return undefined;
      return { code: Number(code), at: fs.statSync(path).mtimeMs };
    } catch {
      // It runs, or its monitor was killed.
      return undefined;
    }
  }

  /** Nothing of an earlier start that came to nothing. */
  forgetStart(taskId: TaskId): void {
    for (const name of ["begun", "process.json"]) {
      fs.rmSync(join(this.pathOf(taskId), name), { force: true });
    }
    fs.rmSync(this.exitPathOf(taskId), { force: true });
  }

  script(taskId: TaskId, name: string, text: string): void {
    fs.writeFileSync(join(this.pathOf(taskId), name), text, { mode: 0o600 });
  }

  remove(taskId: TaskId): void {
    this.#plans.delete(taskId);
    fs.rmSync(this.pathOf(taskId), { recursive: true, force: true });
    for (const path of [this.exitPathOf(taskId), `${this.exitPathOf(taskId)}.new`]) {
      fs.rmSync(path, { force: true });
    }
  }
}

/** The task whose directory or exit this is. */
export function taskOfFile(name: string): TaskId | undefined {
  return taskIdSchema.safeParse(name.replace(/\.exit(?:\.new)?$/, "")).data;
}

function read<T>(path: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(fs.readFileSync(path, "utf8"))).data;
  } catch {
    // Not there, or lost with the machine's power.
    return undefined;
  }
}

function write(path: string, text: string): void {
  fs.writeFileSync(`${path}.new`, text, { mode: 0o600 });
  fs.renameSync(`${path}.new`, path);
}
