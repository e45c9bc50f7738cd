import type { TaskId } from "../../model/ids.ts";
import type { ExecOptions } from "../../model/session.ts";
import { readBoundingSet } from "../containerd/capabilities.ts";
import type { KeptPlan } from "./process-files.ts";
import { mountPlanOf } from "./process-mounts.ts";
import type { ExecStart } from "./process-exec.ts";
import { accountFor, lastStartOf, type Rules } from "./process-plan.ts";
import { rightsOf } from "./process-rights.ts";
import { findProgram } from "./program.ts";
import { carried, commandText, lastWords } from "./start-script.ts";

export interface CommandInput {
  taskId: TaskId;
  plan: KeptPlan;
  /** The task's process. */
  pid: number;
  directory: string;
  joinFiles: readonly string[];
  rules: Rules;
  asked: Pick<ExecOptions, "command" | "environment" | "user" | "workingDir"> & {
    pidFile?: string;
  };
}

/**
 * A command as it is started beside a task's process: in its cgroups and namespaces, with its
 * user, variables and rights, and by the same rule of what may be run.
 * @throws OrchdError for a command that is not there or not allowed
 */
export function commandOf(input: CommandInput): { start: ExecStart } {
  const { taskId, plan, pid, directory, joinFiles, rules, asked } = input;
  const { command, environment, user, workingDir, pidFile } = asked;
  const spec = plan.container;
  const own = {
    ...plan,
    container: {
      ...spec,
      entrypoint: [],
      command,
      environment: { ...spec.environment, ...environment },
      ...(workingDir === undefined ? {} : { workingDir }),
    },
  };
  const account = accountFor(own, user ?? spec.user);
  const mountPlan = mountPlanOf(plan, directory, []);
  const last = lastStartOf(taskId, own, { account, mountPlan });
  const path = last.environment["PATH"] ?? "";
  const { onMachine } = mountPlan;
  const search = { path, workingDir: last.workingDir, onMachine, allowed: rules.allowed };
  const program = findProgram(command[0] ?? "", search);
  const { limits, tools } = rules;
  const available = readBoundingSet();
  const text = commandText(tools, {
    joinFiles,
    pid,
    program,
    rights: rightsOf(spec, account, { available, limits }),
    last: lastWords(tools, { ...last, words: [program.path, ...command.slice(1)] }),
    ...(pidFile === undefined ? {} : { pidFile }),
  });
  return { start: { words: [tools.sh, "-c", text], env: carried(last.environment) } };
}
