import { OrchdError } from "../../src/lib/errors.ts";
import type { VolumeMount } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { Check } from "../../src/model/probe.ts";
import type { ExecSession, ImageSummary, LogLine } from "../../src/model/session.ts";
import type { NodeUsage } from "../../src/model/usage.ts";
import type {
  CommandResult,
  ContainerStatus,
  CreateOptions,
  Runtime,
  RuntimeEvent,
  RuntimeInfo,
} from "../../src/runtime/driver.ts";
import { between, happens } from "./chance.ts";
import { FoundSick } from "./found-sick.ts";
import type { Container, Machine, MachineVolume } from "./machine.ts";

/** Longer than any caller waits for an answer. */
const HANG_MS = 30_000;

/** How long work goes on for a caller that died. No agent starts again faster than that. */
export const IN_FLIGHT_MAX_MS = 1000;

export interface RuntimeHooks {
  /** The agent is about to remove a container. */
  onRemoval: (taskId: TaskId) => void;
  /**
   * The agent is about to stop a running container.
   * @param found whether this life of the agent, or any one before it, found it sick
   */
  onStop: (taskId: TaskId, found: { now: boolean; ever: boolean }) => void;
  /** The agent removes a volume. */
  onVolumeRemoval: (name: string, volume: MachineVolume) => void;
}

/** A process's own connection to the runtime of a machine; what it asked for outlives it. */
export class SimulatedRuntime implements Runtime {
  readonly upkeep = undefined;
  readonly #machine: Machine;
  readonly #busyUntil: Map<string, number>;
  readonly #hooks: RuntimeHooks;
  readonly #sick = new FoundSick();
  #killedAt: number | undefined;
  #isPoweredOff = false;

  /** @param busyUntil when each container's lock is free, shared by all processes of a machine */
  constructor(machine: Machine, busyUntil: Map<string, number>, hooks: RuntimeHooks) {
    this.#machine = machine;
    this.#busyUntil = busyUntil;
    this.#hooks = hooks;
  }

  kill(how: "process" | "power"): void {
    this.#killedAt = this.#machine.options.clock.now();
    if (how === "power") this.#isPoweredOff = true;
  }

  async info(): Promise<RuntimeInfo> {
    return { name: "simulated", version: "1" };
  }

  list(): Promise<ContainerStatus[]> {
    return this.#call("", 20, () => [...this.#machine.containers.values()].map(statusOf));
  }

  inspect(taskId: TaskId): Promise<ContainerStatus | undefined> {
    return this.#call(taskId, 10, () => {
      const found = this.#machine.containers.get(taskId);
      return found && statusOf(found);
    });
  }

  create({ assignment, address }: CreateOptions): Promise<string> {
    const { taskId, container } = assignment;
    return this.#call(taskId, 100, () => {
      const isMissing = container.image.startsWith("missing:");
      if (isMissing) throw new OrchdError("notFound", "there is no such image");
      return this.#machine.create(assignment, address).containerId;
    });
  }

  start(taskId: TaskId): Promise<void> {
    return this.#call(taskId, 300, () => {
      const container = this.#find(taskId);
      if (container.program === "broken") {
        throw new OrchdError("runtime", "its command was not found in the image");
      }
      this.#machine.start(container);
    });
  }

  stop(taskId: TaskId, graceMs: number): Promise<void> {
    const { random } = this.#machine.options;
    const takesMs = happens(random, 0.2) ? graceMs : Math.min(graceMs, 200);
    return this.#call(taskId, takesMs, () => {
      const container = this.#find(taskId);
      const found = { now: this.#sick.has(taskId), ever: container.wasFoundSick === true };
      if (container.state === "running") this.#hooks.onStop(taskId, found);
      this.#machine.exit(container, takesMs === graceMs ? 137 : 143);
    });
  }

  remove(taskId: TaskId): Promise<void> {
    return this.#call(taskId, 50, () => {
      const container = this.#machine.containers.get(taskId);
      if (container === undefined) return;
      this.#hooks.onRemoval(taskId);
      this.#machine.remove(container);
    });
  }

  async *events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const machine = this.#machine;
    const queue: RuntimeEvent[] = machine.isUp ? [{ type: "resync" }] : [];
    let wake = () => {};
    const subscriber = {
      push: (event: RuntimeEvent) => {
        queue.push(event);
        wake();
      },
    };
    machine.subscribers.add(subscriber);
    try {
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      machine.subscribers.delete(subscriber);
    }
  }

  async pullImage(): Promise<void> {
    throw new OrchdError("notFound", "no registry has this image");
  }

  async imageIdentity(): Promise<undefined> {
    return undefined;
  }

  imageHealthcheck(): Promise<undefined> {
    return this.#call("", 10, () => undefined);
  }

  async run(taskId: TaskId): Promise<CommandResult> {
    const { ok } = await this.#ask(taskId);
    return { end: "exited", exitCode: ok ? 0 : 1, output: "as asked" };
  }

  async answer(taskId: TaskId, check: Check): Promise<{ ok: boolean; output: string }> {
    const { container, ok } = await this.#ask(taskId);
    this.#sick.note(container, check, { ok, at: this.#machine.now() });
    return { ok, output: "as asked" };
  }

  async hasImage(): Promise<boolean> {
    return true;
  }

  async imagePlatform(): Promise<undefined> {}

  async ensureNetwork(): Promise<void> {}

  async removeNetwork(): Promise<void> {}

  ensureVolume({ volume }: VolumeMount): Promise<void> {
    return this.#call("", 20, () => void this.#machine.makeVolume(volume));
  }

  removeVolume(name: string): Promise<void> {
    return this.#call("", 50, () => {
      const volume = this.#machine.volumes.get(name);
      if (volume === undefined) return;
      if (this.#machine.usesVolume(name)) {
        throw new OrchdError("conflict", `the volume ${name} is in use`);
      }
      this.#hooks.onVolumeRemoval(name, volume);
      this.#machine.volumes.delete(name);
    });
  }

  async volumes(): Promise<never[]> {
    return [];
  }

  async volumePath(): Promise<string> {
    throw new OrchdError("notFound", "no volume of a run has files");
  }

  async freeze(): Promise<void> {}

  async thaw(): Promise<void> {}

  async limit(): Promise<void> {}

  async close(): Promise<void> {}

  logs(): AsyncIterable<LogLine> {
    throw new Error("no run reads logs");
  }

  exec(): Promise<ExecSession> {
    throw new Error("no run executes commands");
  }

  takeImage(): Promise<void> {
    throw new Error("no run has a registry");
  }

  usage(taskIds: readonly TaskId[]): Promise<NodeUsage["tasks"]> {
    const { containers, options } = this.#machine;
    return this.#call("", 10, () =>
      taskIds.flatMap((taskId) => {
        const container = containers.get(taskId);
        if (container?.state !== "running") return [];
        return [{ taskId, cpuMs: options.cpuMsOf(container), memoryBytes: 0 }];
      }),
    );
  }

  images(): Promise<ImageSummary[]> {
    throw new Error("no run lists images");
  }

  #ask(taskId: TaskId): Promise<{ container: Container; ok: boolean }> {
    return this.#call("", 10, () => {
      const container = this.#find(taskId);
      return { container, ok: container.isWell === true };
    });
  }

  #find(taskId: TaskId): Container {
    const container = this.#machine.containers.get(taskId);
    if (container === undefined) throw new OrchdError("notFound", "there is no such container");
    return container;
  }

  /**
   * One request: calls on one container follow each other, as behind a lock; the work is done even
   * when the process that asked for it is gone by then.
   * @param key the container that it locks, or empty
   */
  #call<T>(key: string, takesMs: number, work: () => T): Promise<T> {
    const { clock, random, faults } = this.#machine.options;
    const { callFails, answerIsLost, callHangs } = faults();
    const luck = random.next();
    const hangs = happens(random, callHangs);
    const ownMs = between(random, 1, Math.max(1, takesMs)) + (hangs ? HANG_MS : 0);
    const begin = Math.max(clock.now(), key === "" ? 0 : (this.#busyUntil.get(key) ?? 0));
    const at = this.#machine.isUp ? begin + ownMs : clock.now() + 1;
    if (key !== "" && this.#machine.isUp) this.#busyUntil.set(key, at);
    return new Promise<T>((resolve, reject) => {
      clock.after(at - clock.now(), () => {
        // Without power nothing is done, and a process of before does nothing afterwards either.
        if (!this.#machine.isOn || this.#isPoweredOff) return;
        // Work that was not begun when its caller died is dropped with the connection.
        if (this.#killedAt !== undefined && clock.now() > this.#killedAt + IN_FLIGHT_MAX_MS) return;
        const answer = this.#attempt(work, { luck, callFails, answerIsLost, hangs });
        if (this.#killedAt !== undefined) return;
        if (answer.error === undefined) resolve(answer.value);
        else reject(answer.error);
      });
    });
  }

  #attempt<T>(
    work: () => T,
    chance: { luck: number; callFails: number; answerIsLost: number; hangs: boolean },
  ): { value: T; error?: undefined } | { error: OrchdError } {
    const { luck, callFails, answerIsLost, hangs } = chance;
    if (!this.#machine.isUp) return { error: away() };
    if (luck < callFails) {
      const failed = new OrchdError("runtime", "the runtime failed for no reason");
      return { error: luck < callFails / 2 ? failed : away() };
    }
    try {
      const value = work();
      if (luck < callFails + answerIsLost) {
        const odd = new OrchdError("runtime", "the runtime says that it failed");
        return { error: luck < callFails + answerIsLost / 4 ? odd : away() };
      }
      return hangs ? { error: away() } : { value };
    } catch (error) {
      if (error instanceof OrchdError) return { error };
      throw error;
    }
  }
}

function away(): OrchdError {
  return new OrchdError("unreachable", "the runtime does not answer", { retryable: true });
}

/** A copy, so that what was answered does not change afterwards. */
function statusOf(container: Container): ContainerStatus {
  const { taskId, containerId, state, startedAt, finishedAt, exitCode } = container;
  return {
    taskId,
    containerId,
    state,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(exitCode === undefined ? {} : { exitCode }),
  };
}
