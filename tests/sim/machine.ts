import type { Assignment } from "../../src/model/assignment.ts";
import type { ServiceId, TaskId } from "../../src/model/ids.ts";
import type { Random } from "../../src/lib/random.ts";
import type { ProbeRole, Probes } from "../../src/model/probe.ts";
import type { ContainerStatus, RuntimeEvent } from "../../src/runtime/driver.ts";
import { between, happens } from "./chance.ts";
import type { Faults } from "./faults.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface Container extends ContainerStatus {
  serviceId: ServiceId;
  /** What the program does, by its image. */
  program: string;
  /** Whether it passes checks. */
  isWell?: boolean;
  /** What it is asked. */
  probes?: Probes | undefined;
  /** The checks that it has passed before. */
  passed?: Set<ProbeRole>;
  /** The volumes that it mounts. */
  volumes: readonly string[];
  /** Whether an agent was told so often that it is unfit that it is to end. */
  wasFoundSick?: boolean;
}

/** A volume, with whose data is in it. */
export interface MachineVolume {
  /** Services whose tasks had it since it was made. */
  writers: Set<ServiceId>;
}

export interface MachineOptions {
  name: string;
  clock: VirtualClock;
  /** By how much its clock is wrong. */
  skewMs: number;
  random: Random;
  faults: () => Faults;
  /** Something happened to a container. */
  onChange(what: "created" | "started" | "exited" | "removed", taskId: TaskId): void;
  trace(text: string): void;
  /** Time on a processor that a container took, in ms. */
  cpuMsOf(container: Container): number;
}

/** Where the runtime's events go: one that a process follows. */
export interface Subscriber {
  push(event: RuntimeEvent): void;
}

/** A machine with a container runtime, which knows nothing of agents. */
export class Machine {
  readonly options: MachineOptions;
  readonly containers = new Map<TaskId, Container>();
  /** They are on the disk, and outlive containers and power cuts. */
  readonly volumes = new Map<string, MachineVolume>();
  readonly subscribers = new Set<Subscriber>();
  /** Whether the runtime's service answers; containers go on without it. */
  isUp = true;
  isOn = true;
  /** Events of before the service last left: they never arrive. */
  epoch = 0;
  #ids = 0;

  constructor(options: MachineOptions) {
    this.options = options;
  }

  /** By its own clock. */
  now(): number {
    return this.options.clock.now() + this.options.skewMs;
  }

  create({ taskId, serviceId, container: spec }: Assignment, address?: string): Container {
    const found = this.containers.get(taskId);
    if (found !== undefined) return found;
    const { image, probes } = spec;
    const volumes = spec.mounts.flatMap((one) => (one.type === "volume" ? one.volume : []));
    for (const name of volumes) this.makeVolume(name).writers.add(serviceId);
    const containerId = `${this.options.name}-${++this.#ids}`;
    const program = image.split(":")[0] ?? "";
    const state = "created";
    const what = { serviceId, program, probes, volumes };
    const container: Container = { taskId, containerId, state, ...what };
    if (address !== undefined) container.address = address;
    this.containers.set(taskId, container);
    this.#note("created", container);
    return container;
  }

  /** The volume of that name, which is made where there is none. */
  makeVolume(name: string): MachineVolume {
    const volume = this.volumes.get(name) ?? { writers: new Set() };
    this.volumes.set(name, volume);
    return volume;
  }

  /** Whether a container, running or not, keeps the volume from going. */
  usesVolume(name: string): boolean {
    return [...this.containers.values()].some(({ volumes }) => volumes.includes(name));
  }

  /** Starts a container in whatever state, as runtimes do. */
  start(container: Container): void {
    if (container.state === "running") return;
    container.state = "running";
    container.startedAt = this.now();
    delete container.finishedAt;
    delete container.exitCode;
    this.#note("started", container);
    this.#live(container);
  }

  exit(container: Container, exitCode: number): void {
    if (container.state !== "running") return;
    container.state = "exited";
    container.exitCode = exitCode;
    container.finishedAt = this.now();
    this.#note("exited", container);
  }

  remove(container: Container): void {
    if (this.containers.get(container.taskId) !== container) return;
    if (container.state === "running") this.exit(container, 137);
    this.containers.delete(container.taskId);
    this.#note("removed", container);
  }

  /**
   * The power goes: nothing runs any more, and nobody hears of it.
   * @param forgets whether the containers are gone as well, as where they are kept in memory
   */
  losePower(forgets: boolean): void {
    this.isOn = false;
    this.epoch += 1;
    for (const container of this.containers.values()) {
      if (container.state !== "running") continue;
      container.state = "exited";
      container.exitCode = 137;
      container.finishedAt = this.now();
    }
    if (forgets) this.containers.clear();
    this.options.trace(`${this.options.name}: the power is cut${forgets ? ", all is gone" : ""}`);
  }

  /** The machine and its runtime's service run again. */
  boot(): void {
    this.isOn = true;
    this.isUp = true;
    this.options.trace(`${this.options.name}: the power is back`);
  }

  /** The service goes away; what it had to tell is lost. */
  leave(): void {
    this.isUp = false;
    this.epoch += 1;
    this.options.trace(`${this.options.name}: the runtime's service is away`);
  }

  comeBack(): void {
    this.isUp = true;
    this.options.trace(`${this.options.name}: the runtime's service is back`);
    this.#tell({ type: "resync" });
  }

  /** The program of a started container: it runs on, ends by itself, or crashes soon. */
  #live(container: Container): void {
    const { clock, random } = this.options;
    const { startedAt, program } = container;
    const endAfter = (delayMs: number, exitCode: number) =>
      clock.after(delayMs, () => {
        if (container.startedAt === startedAt) this.exit(container, exitCode);
      });
    const turn = (isWell: boolean, delayMs: number) =>
      clock.after(delayMs, () => {
        if (container.startedAt === startedAt) container.isWell = isWell;
      });
    const wellAfterMs = between(random, 0, happens(random, 0.1) ? 20_000 : 2000);
    if (program !== "sick") turn(true, wellAfterMs);
    if (program === "sickly") turn(false, between(random, 5000, 40_000));
    if (program === "job") endAfter(between(random, 0, 3000), 0);
    if (program === "long-job") endAfter(between(random, 3000, 80_000), 0);
    if (program === "stumbling") endAfter(between(random, 0, 3000), happens(random, 0.5) ? 1 : 0);
    if (program === "crashing") endAfter(between(random, 0, 20_000), 1);
    if (program === "flaky" && happens(random, 0.5)) endAfter(between(random, 0, 500), 1);
  }

  #note(what: "created" | "started" | "exited" | "removed", container: Container): void {
    const { taskId, containerId } = container;
    this.options.trace(`${this.options.name}: ${taskId} ${what}`);
    this.options.onChange(what, taskId);
    if (what !== "created" && this.isUp) this.#tell({ type: what, taskId, containerId });
  }

  #tell(event: RuntimeEvent): void {
    const { clock, random } = this.options;
    const { epoch } = this;
    const delayMs = happens(random, 0.1) ? between(random, 0, 2000) : between(random, 0, 20);
    for (const subscriber of this.subscribers) {
      clock.after(delayMs, () => {
        if (this.epoch === epoch) subscriber.push(event);
      });
    }
  }
}
