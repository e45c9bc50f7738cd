import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Limits } from "../../model/container.ts";
import type { TaskId } from "../../model/ids.ts";
import { changeOfLimits } from "../oci-limits.ts";
import { killedForMemory } from "../podman/kernel-log.ts";
import { cgroupsPathOf, countsSwap, wasOutOfMemory } from "./cgroups.ts";
import { type ContainerFiles, readBoot } from "./container-files.ts";
import { isCode } from "./errors.ts";
import { anyOf, type ContainerdGrpc } from "./grpc.ts";
import { makeOutputs, outputPathsOf, type LogKeeper } from "./log-keeper.ts";
import { METHODS, millisecondsOf, TASK_STATUS, type TaskProcess } from "./methods.ts";
import { SNAPSHOTTER } from "./unpack.ts";

const RESOURCES_URL = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
const SIGKILL = 9;
/** 128 + SIGKILL. */
export const KILLED = 137;
/** How long a killed container may take to end. */
const END_MS = 30_000;

export interface TaskParts {
  grpc: ContainerdGrpc;
  clock: Clock;
  files: ContainerFiles;
  logs: LogKeeper;
}

export interface StartOptions {
  tty: boolean;
  /** Called before anything is made; what it throws is why nothing is. */
  check(): Promise<void>;
  /** Called between making the container's processes and letting them run. */
  connect(pid: number): Promise<void>;
}

/** What containerd calls tasks: the processes of containers, from start to end. */
export class TaskLife {
  readonly #parts: TaskParts;
  readonly #reaping = new Map<TaskId, Promise<void>>();
  /** Tasks whose start got no answer: they may have run and ended, and never start twice. */
  readonly #unsure = new Set<TaskId>();

  constructor(parts: TaskParts) {
    this.#parts = parts;
  }

  /** Undefined when no process of the container was made, or all that was known of it is kept. */
  async find(taskId: TaskId): Promise<TaskProcess | undefined> {
    try {
      const { grpc } = this.#parts;
      return (await grpc.call(METHODS.getTask, { containerId: taskId })).process;
    } catch (error) {
      // There is none: an expected answer.
      if (isCode(error, "notFound")) return undefined;
      throw error;
    }
  }

  /** Nothing for a container that runs, or that has run since a start that got no answer. */
  async start(taskId: TaskId, options: StartOptions): Promise<void> {
    const { files, grpc, clock } = this.#parts;
    const found = await this.find(taskId);
    if (found?.status === TASK_STATUS.stopped) await this.reap(taskId);
    // Somebody was stopped between making and starting it.
    else if (found?.status === TASK_STATUS.created) await this.#delete(taskId);
    const isUnsure = this.#unsure.delete(taskId);
    if (found !== undefined && isLive(found)) return;
    if (isUnsure && files.read(taskId).exit !== undefined) return;
    await options.check();
    files.write(taskId, {});
    try {
      const pid = await this.#make(taskId, options.tty);
      await options.connect(pid);
      files.write(taskId, { startedAt: clock.now(), boot: readBoot() });
      await grpc.call(METHODS.startProcess, { containerId: taskId });
    } catch (error) {
      if (error instanceof OrchdError && error.retryable) {
        this.#unsure.add(taskId);
        throw error;
      }
      await this.#delete(taskId);
      files.write(taskId, {});
      throw error;
    }
  }

  /** Sends the signal, kills after the grace period; returns when the container has ended. */
  async stop(taskId: TaskId, signal: number, graceMs: number): Promise<void> {
    const found = await this.find(taskId);
    if (found === undefined || found.status === TASK_STATUS.created) return;
    if (found.status !== TASK_STATUS.stopped) {
      if (isPaused(found)) await this.thaw(taskId);
      const hasEnded = graceMs > 0 && (await this.#killAndWait(taskId, signal, graceMs));
      if (!hasEnded) await this.#end(taskId);
    }
    await this.reap(taskId);
  }

  /** Ends it at once and forgets it. */
  async remove(taskId: TaskId): Promise<void> {
    const found = await this.find(taskId);
    this.#parts.logs.forget(taskId);
    this.#unsure.delete(taskId);
    if (found === undefined) return;
    if (isPaused(found)) await this.thaw(taskId);
    if (found.status !== TASK_STATUS.stopped) await this.#end(taskId);
    await this.#delete(taskId);
  }

  async freeze(taskId: TaskId): Promise<void> {
    const found = await this.find(taskId);
    if (found !== undefined && isPaused(found)) return;
    await this.#parts.grpc.call(METHODS.pause, { containerId: taskId });
  }

  async thaw(taskId: TaskId): Promise<void> {
    const found = await this.find(taskId);
    if (found !== undefined && !isPaused(found)) return;
    await this.#parts.grpc.call(METHODS.resume, { containerId: taskId });
  }

  async limit(taskId: TaskId, limits: Limits): Promise<void> {
    const resources = anyOf(RESOURCES_URL, changeOfLimits(limits, countsSwap()));
    await this.#parts.grpc.call(METHODS.update, { containerId: taskId, resources });
  }

  /** Whether it has ended within that time; a shim that was killed counts as ended, too. */
  async waitForEnd(taskId: TaskId, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const { grpc } = this.#parts;
    try {
      const options = { timeoutMs, ...(signal === undefined ? {} : { signal }) };
      await grpc.call(METHODS.waitProcess, { containerId: taskId }, options);
      return true;
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      if (error.code === "unreachable") return false;
      const found = await this.find(taskId);
      return found === undefined || found.status === TASK_STATUS.stopped;
    }
  }

  /** Keeps how it ended, and lets containerd forget it: a process less for each ended container. */
  reap(taskId: TaskId): Promise<void> {
    const under = this.#reaping.get(taskId);
    if (under !== undefined) return under;
    const turn = this.#reap(taskId).finally(() => this.#reaping.delete(taskId));
    this.#reaping.set(taskId, turn);
    return turn;
  }

  async #reap(taskId: TaskId): Promise<void> {
    const { files, logs } = this.#parts;
    const found = await this.find(taskId);
    if (found === undefined || found.status !== TASK_STATUS.stopped) return;
    const { startedAt } = files.read(taskId);
    const at = millisecondsOf(found.exitedAt);
    const code = found.exitStatus;
    const outOfMemory = code === KILLED && wasKilledForMemory(taskId);
    files.write(taskId, {
      ...(startedAt === undefined ? {} : { startedAt }),
      exit: {
        code,
        outOfMemory,
        ...(at === undefined ? {} : { at: Math.max(at, startedAt ?? 0) }),
      },
    });
    // Waits until the shim has written the last of its output.
    await this.#delete(taskId);
    logs.finish(taskId, files.pathOf(taskId));
  }

  async #make(taskId: TaskId, tty: boolean): Promise<number> {
    const { grpc, files, logs } = this.#parts;
    const directory = files.pathOf(taskId);
    makeOutputs(directory);
    const { mounts } = await grpc.call(METHODS.snapshotMounts, {
      snapshotter: SNAPSHOTTER,
      key: taskId,
    });
    const { stdout, stderr } = outputPathsOf(directory);
    const { pid } = await grpc.call(METHODS.createTask, {
      containerId: taskId,
      rootfs: mounts,
      stdout,
      stderr: tty ? "" : stderr,
      terminal: tty,
    });
    logs.follow(taskId, directory);
    return pid;
  }

  async #end(taskId: TaskId): Promise<void> {
    if (await this.#killAndWait(taskId, SIGKILL, END_MS)) return;
    throw new OrchdError("timedOut", "the container does not end although it was killed", {
      retryable: true,
    });
  }

  /** Whether it has ended within that time. */
  async #killAndWait(taskId: TaskId, signal: number, timeoutMs: number): Promise<boolean> {
    const [hasEnded] = await Promise.all([
      this.waitForEnd(taskId, timeoutMs),
      this.#kill(taskId, signal),
    ]);
    return hasEnded;
  }

  /** The last signal is for all of its processes: with the machine's own ids they would live on. */
  async #kill(taskId: TaskId, signal: number): Promise<void> {
    try {
      const all = signal === SIGKILL;
      await this.#parts.grpc.call(METHODS.kill, { containerId: taskId, signal, all });
    } catch (error) {
      // It has ended meanwhile.
      const found = await this.find(taskId);
      if (found !== undefined && found.status !== TASK_STATUS.stopped) throw error;
    }
  }

  async #delete(taskId: TaskId): Promise<void> {
    const { grpc } = this.#parts;
    try {
      await grpc.call(METHODS.deleteTask, { containerId: taskId });
    } catch (error) {
      if (isCode(error, "notFound")) return;
      const found = await this.find(taskId);
      if (found === undefined) return;
      if (found.status !== TASK_STATUS.created) throw error;
      await this.#end(taskId);
      await grpc.call(METHODS.deleteTask, { containerId: taskId });
    }
  }
}

function isLive({ status }: TaskProcess): boolean {
  return status !== TASK_STATUS.created && status !== TASK_STATUS.stopped;
}

function isPaused({ status }: TaskProcess): boolean {
  return status === TASK_STATUS.paused || status === TASK_STATUS.pausing;
}

function wasKilledForMemory(taskId: TaskId): boolean {
  return wasOutOfMemory(taskId) || killedForMemory(cgroupsPathOf(taskId));
}
