import { seededRandom } from "../../src/lib/random.ts";
import { newId } from "../../src/lib/ids.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import { type ContainerSpec, PROCESS_IMAGE } from "../../src/model/container.ts";
import { type TaskId, taskIdSchema } from "../../src/model/ids.ts";
import { aContainer, anAssignment } from "../builders.ts";

/** What a task of the suite does, told at once to a real shell and to the fake runtime. */
export interface Behaviour {
  /** Lines that it prints at the start. */
  prints?: string[];
  /** Ends by itself after so long; absent means that it runs until it is stopped. */
  exitAfterMs?: number;
  exitCode?: number;
  /** Does not end when it is asked to. */
  ignoresStop?: boolean;
  /** Uses more memory than it may. */
  outOfMemory?: boolean;
  /** A command that the image lacks, instead of all that. */
  badCommand?: string;
}

const random = seededRandom(`runtime conformance ${process.pid} ${Date.now()}`);

/** An assignment of a task with a new id. */
export function aTask(
  image: string,
  behaviour: Behaviour = {},
  change: Partial<ContainerSpec> = {},
): Assignment {
  const { badCommand } = behaviour;
  const container = aContainer({
    image,
    ...(image === PROCESS_IMAGE ? { runtime: "process" as const } : {}),
    command: badCommand === undefined ? ["/bin/sh", "-c", scriptOf(behaviour)] : [badCommand],
    environment: { PATH: "/bin" },
    networkMode: "none",
    ...change,
    labels: { ...labelsOf(behaviour), ...change.labels },
  });
  const memory = behaviour.outOfMemory ? { memoryBytes: 16 * 1024 * 1024 } : {};
  return anAssignment("", {
    taskId: newId<"task">(random),
    container,
    resources: { limits: memory, reservations: { cpuMillis: 0, memoryBytes: 0 } },
  });
}

function scriptOf(behaviour: Behaviour): string {
  const { prints = [], exitAfterMs, exitCode = 0, ignoresStop, outOfMemory } = behaviour;
  const trap = ignoresStop ? "trap '' TERM" : "trap 'exit 0' TERM";
  const lines = [trap, ...prints.map((text) => `echo '${text}'`)];
  if (outOfMemory) lines.push("x=0123456789; while :; do x=$x$x; done");
  if (exitAfterMs === undefined) lines.push("while :; do sleep 0.05; done");
  else lines.push(`sleep ${exitAfterMs / 1000}`, `exit ${exitCode}`);
  return lines.join("\n");
}

function labelsOf(behaviour: Behaviour): Record<string, string> {
  const { prints, exitAfterMs, exitCode, ignoresStop, outOfMemory, badCommand } = behaviour;
  return {
    ...(prints === undefined ? {} : { "orchd.fake/output": prints.join("\n") }),
    ...(exitAfterMs === undefined ? {} : { "orchd.fake/exit-after": `${exitAfterMs}ms` }),
    ...(exitCode === undefined ? {} : { "orchd.fake/exit-code": String(exitCode) }),
    ...(ignoresStop ? { "orchd.fake/ignore-stop": "true" } : {}),
    ...(outOfMemory ? { "orchd.fake/out-of-memory": "true", "orchd.fake/exit-after": "0ms" } : {}),
    ...(badCommand === undefined
      ? {}
      : { "orchd.fake/start-error": `the command "${badCommand}" was not found in the image` }),
  };
}

/** Ids of tasks among these names, each once. */
export function taskIdsOf(names: readonly string[]): TaskId[] {
  const ids = names.flatMap((name) => taskIdSchema.safeParse(name.trim()).data ?? []);
  return [...new Set(ids)].toSorted();
}
