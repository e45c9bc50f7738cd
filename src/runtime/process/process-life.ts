import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { TaskId } from "../../model/ids.ts";
import type { NodeUsage } from "../../model/usage.ts";
import type { ContainerStatus } from "../driver.ts";
import { readBoot } from "../containerd/container-files.ts";
import type { LogKeeper } from "../containerd/log-keeper.ts";
import { endSession, familyOf } from "../podman/process-group.ts";
import { waitFor } from "../podman/wait-for.ts";
import type { Cgroups } from "./cgroups.ts";
import { identityOf, isAlive, usageOf } from "./identity.ts";
import { giveVolume, launch, type Launched } from "./launch.ts";
import type { KeptPlan, KeptProcess, ProcessFiles } from "./process-files.ts";
import { accountFor, type Rules, stopSignalOf, wholeStartOf } from "./process-plan.ts";

/** 128 + SIGKILL. */
const KILLED = 137;
/** How long what was killed may take to end. */
const END_MS = 30_000;
const LOOK_AGAIN_MS = 20;

export interface LifeParts {
  files: ProcessFiles;
  cgroups: Cgroups;
  clock: Clock;
  logs: LogKeeper;
  rules: Rules;
}

/** How a process comes to its network. */
export interface Connection {
  /** Where the network is that it shares. */
  shared?: string;
  /** Called when the process is there, with its id. */
  link: (pid: number) => Promise<void>;
  /** Called just before its program runs. */
  join: () => Promise<void>;
}

/** Processes of tasks, from start to end. */
export class ProcessLife {
  readonly #parts: LifeParts;
  /** Processes that are there but for their programs, which wait to be started. */
  readonly #prepared = new Map<TaskId, Launched>();

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  /** What is there of a task; undefined when there is nothing. */
  status(taskId: TaskId): ContainerStatus | undefined {
    const plan = this.#parts.files.plan(taskId);
    if (plan === undefined) return undefined;
    const { address, networkTask } = plan;
    const kept = this.#settled(taskId);
    const known = {
      taskId,
      containerId: taskId,
      ...(address === undefined ? {} : { address }),
      ...(networkTask === undefined ? {} : { networkTask }),
    };
    if (kept === undefined) return { ...known, state: "created" };
    const { startedAt, exit } = kept;
    if (exit === undefined) return { ...known, state: "running", startedAt };
    return {
      ...known,
      state: "exited",
      startedAt,
      exitCode: exit.code,
      ...(exit.at === undefined ? {} : { finishedAt: exit.at }),
      ...(exit.outOfMemory ? { outOfMemory: true } : {}),
    };
  }

  /** The process of a running task. */
  running(taskId: TaskId): KeptProcess | undefined {
    const kept = this.#settled(taskId);
    return kept?.exit === undefined ? kept : undefined;
  }

  /**
   * Makes all but the program, which takes time. What can't be made now is for the start to make,
   * or to say why not; without a connection that is all but its cgroups.
   * @throws OrchdError for limits that this machine can't hold
   */
  async prepare(taskId: TaskId, connection: Connection | undefined): Promise<void> {
    const { files, cgroups } = this.#parts;
    const plan = files.plan(taskId);
    if (plan === undefined) return;
    cgroups.make(taskId, plan.resources.limits);
    if (connection === undefined) return;
    try {
      this.#prepared.set(taskId, await this.#launch(taskId, plan, connection));
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
    }
  }

  /** Nothing for one that runs. */
  async start(taskId: TaskId, connection: Connection): Promise<void> {
    const { files, clock, logs } = this.#parts;
    const plan = files.plan(taskId);
    if (plan === undefined || this.running(taskId) !== undefined) return;
    const launched = this.#takePrepared(taskId) ?? (await this.#launch(taskId, plan, connection));
    const { monitor, program } = launched;
    try {
      await connection.join();
      const startedAt = clock.now();
      files.setProcess(taskId, { startedAt, boot: readBoot(), monitor, program });
      await launched.go();
    } catch (error) {
      launched.abandon();
      await this.#clear(taskId);
      throw error;
    }
    logs.follow(taskId, files.pathOf(taskId));
  }

  /** Sends the signal, kills after the grace period; returns when all of it has ended. */
  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    const kept = this.running(taskId);
    const plan = this.#parts.files.plan(taskId);
    if (kept === undefined || plan === undefined) return;
    this.thaw(taskId);
    if (graceMs > 0) {
      if (isAlive(kept.program)) signal(kept.program.pid, stopSignalOf(plan));
      if (await this.waitForEnd(taskId, graceMs)) return;
    }
    await this.#end(taskId, kept);
  }

  /** Ends it at once, with everything that there is of it. */
  async remove(taskId: TaskId): Promise<void> {
    const { files, logs } = this.#parts;
    logs.forget(taskId);
    await this.#clear(taskId);
    files.remove(taskId);
  }

  /** Gives up what was prepared; a start makes it again. */
  close(): void {
    for (const launched of this.#prepared.values()) launched.abandon();
    this.#prepared.clear();
  }

  freeze(taskId: TaskId): void {
    this.#hold(taskId, true);
  }

  thaw(taskId: TaskId): void {
    this.#hold(taskId, false);
  }

  /** Whether it has ended within that time. */
  async waitForEnd(taskId: TaskId, timeoutMs: number, given?: AbortSignal): Promise<boolean> {
    const { clock } = this.#parts;
    const until = clock.monotonicNow() + timeoutMs;
    while (this.running(taskId) !== undefined) {
      if (clock.monotonicNow() >= until || given?.aborted === true) return false;
      await waitFor(clock, LOOK_AGAIN_MS, given);
    }
    return true;
  }

  /** Resolves when it was started or is gone, or `given` aborts. */
  async waitForStart(taskId: TaskId, given: AbortSignal): Promise<void> {
    while (!given.aborted && this.status(taskId)?.state === "created") {
      await waitFor(this.#parts.clock, LOOK_AGAIN_MS, given);
    }
  }

  usage(taskId: TaskId): NodeUsage["tasks"][number] | undefined {
    const kept = this.running(taskId);
    if (kept === undefined) return undefined;
    const counted = this.#parts.cgroups.usage(taskId);
    return counted ?? usageOf(taskId, familyOf(kept.monitor.pid).slice(1));
  }

  #takePrepared(taskId: TaskId): Launched | undefined {
    const launched = this.#prepared.get(taskId);
    this.#prepared.delete(taskId);
    return launched !== undefined && isAlive(launched.program) ? launched : undefined;
  }

  /** Makes all but the program, after what an earlier start that came to nothing has left. */
  async #launch(taskId: TaskId, plan: KeptPlan, { shared, link }: Connection): Promise<Launched> {
    const { files, cgroups, rules } = this.#parts;
    const hasLeft = cgroups.processes(taskId).length > 0 || files.process(taskId) !== undefined;
    if (hasLeft) await this.#clear(taskId);
    const network = shared === undefined ? {} : { network: shared };
    const whole = wholeStartOf(taskId, plan, files.pathOf(taskId), { ...rules, ...network });
    const { uid, gid } = accountFor(plan);
    for (const { type, source, options } of plan.mounts) {
      if (type === "bind" && options.includes("volume")) giveVolume(source, uid, gid);
    }
    let launched: Launched | undefined;
    try {
      cgroups.make(taskId, plan.resources.limits);
      launched = await launch(taskId, whole, { files, cgroups, tools: rules.tools });
      await link(launched.program.pid);
      return launched;
    } catch (error) {
      launched?.abandon();
      await this.#clear(taskId);
      throw error;
    }
  }

  /** Ids of all processes of a running task. */
  #processes(taskId: TaskId, kept: KeptProcess): number[] {
    const { cgroups } = this.#parts;
    if (cgroups.joinFiles(taskId).length > 0) return cgroups.processes(taskId);
    return isAlive(kept.monitor) ? familyOf(kept.monitor.pid).slice(1) : [];
  }

  #hold(taskId: TaskId, frozen: boolean): void {
    const { cgroups } = this.#parts;
    const kept = this.running(taskId);
    if (kept === undefined || cgroups.setFrozen(taskId, frozen)) return;
    const name = frozen ? "SIGSTOP" : "SIGCONT";
    for (const pid of this.#processes(taskId, kept)) signal(pid, name);
  }

  /** What is kept of a task's process, its end included as soon as there is one. */
  #settled(taskId: TaskId): KeptProcess | undefined {
    const { files } = this.#parts;
    const kept = files.process(taskId);
    if (kept === undefined || !files.hasBegun(taskId)) return undefined;
    if (kept.exit !== undefined) return kept;
    const told = files.exit(taskId, kept.program);
    if (told !== undefined) return this.#reaped(taskId, kept, told);
    // When the machine itself was started anew it is as new, and starts again, as with containers.
    if (kept.boot !== readBoot()) return undefined;
    if (isAlive(kept.monitor) || isAlive(kept.program)) return kept;
    // Without a word on its end: its monitor was killed as well, or has said it just now.
    return this.#reaped(taskId, kept, files.exit(taskId, kept.program) ?? { code: KILLED });
  }

  /** Keeps how it ended, and gives back what it had. */
  #reaped(taskId: TaskId, kept: KeptProcess, told: { code: number; at?: number }): KeptProcess {
    const { files, cgroups, logs } = this.#parts;
    const outOfMemory = told.code === KILLED && cgroups.wasOutOfMemory(taskId);
    const at = told.at === undefined ? {} : { at: Math.max(told.at, kept.startedAt) };
    const state = { ...kept, exit: { code: told.code, outOfMemory, ...at } };
    cgroups.kill(taskId);
    cgroups.remove(taskId);
    files.setProcess(taskId, state);
    logs.finish(taskId, files.pathOf(taskId));
    return state;
  }

  async #end(taskId: TaskId, kept: KeptProcess): Promise<void> {
    const { cgroups } = this.#parts;
    const hasCgroup = cgroups.joinFiles(taskId).length > 0;
    if (hasCgroup) cgroups.kill(taskId);
    else if (isAlive(kept.monitor)) endSession(kept.monitor.pid);
    if (isAlive(kept.program)) signal(kept.program.pid, "SIGKILL");
    if (await this.waitForEnd(taskId, END_MS)) return;
    throw new OrchdError("timedOut", "the process does not end although it was killed", {
      retryable: true,
    });
  }

  /** Ends whatever there is of a task, and forgets that it was ever started. */
  async #clear(taskId: TaskId): Promise<void> {
    const { files, cgroups, clock } = this.#parts;
    this.#takePrepared(taskId)?.abandon();
    const kept = files.process(taskId);
    if (kept !== undefined && kept.boot === readBoot() && isAlive(kept.monitor)) {
      const { monitor } = kept;
      if (cgroups.joinFiles(taskId).length === 0) endSession(monitor.pid);
      if (identityOf(monitor.pid)?.startTime === monitor.startTime) signal(monitor.pid, "SIGKILL");
    }
    const until = clock.monotonicNow() + END_MS;
    for (;;) {
      cgroups.kill(taskId);
      if (cgroups.remove(taskId)) break;
      if (clock.monotonicNow() > until) {
        const message = "the task's processes do not end although they were killed";
        throw new OrchdError("timedOut", message, { retryable: true });
      }
      await waitFor(clock, LOOK_AGAIN_MS);
    }
    files.forgetStart(taskId);
  }
}

function signal(pid: number, what: number | NodeJS.Signals): void {
  try {
    process.kill(pid, what);
  } catch {
    // It has ended by itself.
  }
}
