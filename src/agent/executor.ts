import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import { freeAddress } from "../core/network/address.ts";
import { resourcesNow, type Assignment } from "../model/assignment.ts";
import type { ContainerSpec, ImagePin, Limits } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import type { PortClaims } from "../net/ports.ts";
import type { Runtime } from "../runtime/driver.ts";
import { bindsFor, type BindRules, withAllowedBinds } from "./bind-rules.ts";
import type { Containers } from "./containers.ts";
import { withDevices, type MachineDevices } from "./give-devices.ts";
import type { Grants } from "./grants.ts";
import type { ImagePlatforms } from "./image-platforms.ts";
import { Limit } from "./limit.ts";
import { findPin, findPinned } from "./pinned-image.ts";
import type { SiteImages } from "./site-images.ts";
import type { TaskNetwork } from "./task-network.ts";
import type { NodeVolumes } from "./volumes/node-volumes.ts";

/** Containers made or started at once: more only makes a small machine's runtime fight itself. */
export const STARTS_AT_ONCE = 4;
const STOPS_AT_ONCE = 16;
const PULLS_AT_ONCE = 4;

export interface ExecutorOptions {
  clock: Clock;
  runtime: Runtime;
  containers: Containers;
  ports: PortClaims;
  /** The node's own network; undefined for a runtime without one. */
  network: () => Pick<TaskNetwork, "subnet" | "resolver"> | undefined;
  images: ImagePlatforms;
  /** Images that need no registry elsewhere; absent where there are none. */
  site?: Pick<SiteImages, "give"> | undefined;
  /** What tasks read. */
  grants: Grants;
  /** What the machine has that tasks are given; absent means nothing. */
  machine?: (() => MachineDevices) | undefined;
  /** Throws while the disk has no room for another task. */
  requireRoom(): void;
  /** What of the machine tasks may mount. */
  binds: BindRules;
  /** Volumes that are being written wait, and what was left half written is settled. */
  volumes: Pick<NodeVolumes, "namesOf" | "whenFree" | "settle">;
  /** The task whose network another one is to be in; see `SharedNetworks`. */
  providerOf(assignment: Assignment): TaskId | undefined;
  /** Takes a task out of all tables, before it gets its signal. */
  withdraw(taskId: TaskId): Promise<void>;
}

/** Carries out the steps of tasks on the runtime, and keeps the picture of it up to date. */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #starts = new Limit(STARTS_AT_ONCE);
  readonly #stops = new Limit(STOPS_AT_ONCE);
  readonly #pulls = new Limit(PULLS_AT_ONCE);
  readonly #addresses = new Map<TaskId, string>();
  #lastAddress: string | undefined;
  /** Tasks whose container we made and never asked to start: only of these do we know that. */
  readonly #unstarted = new Set<TaskId>();

  /** What containers are held to that is not, or may not be, what they were made with at first. */
  readonly #limits = new Map<TaskId, Limits>();

  /** Tasks whose containers are being made now, whoever still wants them. */
  readonly #making = new Set<Assignment>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** Whether a container is being made that mounts the volume. */
  isMaking(volume: string): boolean {
    return [...this.#making].some((assignment) =>
      this.#options.volumes.namesOf(assignment).includes(volume),
    );
  }

  /**
   * Makes a task's container with everything that it needs. Answers what its image is, where its
   * assignment did not say so.
   */
  async create(given: Assignment): Promise<ImagePin | undefined> {
    this.#making.add(given);
    try {
      return await this.#create(given);
    } finally {
      this.#making.delete(given);
    }
  }

  async #create(given: Assignment): Promise<ImagePin | undefined> {
    const { ports, runtime, machine, grants, binds } = this.#options;
    this.#options.requireRoom();
    this.#options.providerOf(given);
    const allowed = withAllowedBinds(grants.fill(given), bindsFor(given, binds));
    const granted = await grants.mount(allowed);
    const whole = machine === undefined ? granted : withDevices(granted, machine());
    const assignment = { ...whole, resources: resourcesNow(whole) };
    const { taskId, container, pin } = assignment;
    if (container.networkMode === "bridge") {
      for (const port of assignment.ports) await ports.claim(port, taskId);
    }
    await this.#options.volumes.whenFree(given);
    await this.#starts.run(async () => {
      for (const mount of container.mounts) {
        if (mount.type !== "volume" || mount.volume === "") continue;
        await this.#options.runtime.ensureVolume(mount);
        await this.#options.volumes.settle(mount);
      }
    });
    if (container.runtime === "process") {
      await this.#createInTurn(assignment);
      return undefined;
    }
    if (pin !== undefined) {
      const image = await findPinned(runtime, assignment, pin, {
        fetch: (name) => this.#fetch(container, name),
        pull: (name) => this.#pull(container, name),
      });
      await this.#createInTurn({ ...assignment, container: { ...container, image } });
      return undefined;
    }
    if (container.pullPolicy === "always") await this.#pull(container);
    await this.#createContainer(assignment);
    // The container is there; what its image is the next task may find out.
    return findPin(runtime, assignment).catch(() => undefined);
  }

  /**
   * Brings the picture of a task's container up to date.
   * @throws OrchdError `unreachable` (retryable) while that can't be told
   */
  async look(taskId: TaskId): Promise<void> {
    try {
      await this.#options.containers.refresh(taskId);
    } catch (cause) {
      const message = "the runtime does not say what became of the container";
      throw new OrchdError("unreachable", message, { retryable: true, cause });
    }
  }

  /** Starts a task's container, unless an earlier call whose answer was lost has done so. */
  async start(assignment: Assignment): Promise<void> {
    const { taskId } = assignment;
    await this.#options.volumes.whenFree(assignment);
    const { runtime, containers, clock } = this.#options;
    const hasStarted = () => containers.get(taskId)?.startedAt !== undefined;
    await this.#starts.run(async () => {
      if (!this.#unstarted.delete(taskId)) {
        await this.look(taskId);
        if (containers.get(taskId)?.state !== "created") return;
      }
      containers.noteStarting(taskId);
      try {
        await this.#orLook(taskId, () => runtime.start(taskId));
      } catch (error) {
        // It runs, or did, whatever was said of the start.
        if (!hasStarted()) throw error;
      }
      containers.noteStarted(taskId, clock.now());
    });
  }

  /** Holds what runs to other limits; what is refused is not tried again. */
  async limit(taskId: TaskId, limits: Limits): Promise<void> {
    this.#limits.set(taskId, limits);
    try {
      await this.#options.runtime.limit(taskId, limits);
    } catch (error) {
      if (error instanceof OrchdError && error.code === "unreachable") this.#limits.delete(taskId);
      throw error;
    }
  }

  /** What a task's container was last held to, as far as that is known. */
  limitsOf(taskId: TaskId): Limits | undefined {
    return this.#limits.get(taskId);
  }

  /** A container that was started again has the limits that it was made with. */
  forgetLimits(taskId: TaskId): void {
    this.#limits.delete(taskId);
  }

  async stop(taskId: TaskId, graceMs: number): Promise<void> {
    const { runtime } = this.#options;
    await this.#options.withdraw(taskId);
    await this.#stops.run(() => this.#orLook(taskId, () => runtime.stop(taskId, graceMs)));
    await this.look(taskId);
  }

  async remove(taskId: TaskId): Promise<void> {
    await this.#options.withdraw(taskId);
    await this.#stops.run(() => this.#options.runtime.remove(taskId));
    this.#options.containers.delete(taskId);
    await this.release(taskId);
  }

  /** Gives back a task's address and ports, and removes the files that it read. */
  async release(taskId: TaskId): Promise<void> {
    this.#unstarted.delete(taskId);
    this.#addresses.delete(taskId);
    this.#limits.delete(taskId);
    this.#options.grants.release(taskId);
    await this.#options.ports.release(taskId);
  }

  /**
   * A call that failed may have done its work all the same: what it left behind is looked at before
   * anybody decides on the failure.
   */
  async #orLook(taskId: TaskId, call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.#options.containers.doubt(taskId);
      await this.look(taskId);
      throw error;
    }
  }

  /** Looks for the image only when the runtime misses it: the usual case costs no extra call. */
  async #createContainer(assignment: Assignment): Promise<void> {
    try {
      await this.#createInTurn(assignment);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "notFound") throw error;
      const { container } = assignment;
      if (container.pullPolicy === "always") throw error;
      if (container.pullPolicy === "missing") await this.#pull(container);
      else if (!(await this.#fetch(container))) throw error;
      await this.#createInTurn(assignment);
    }
  }

  async #createInTurn(assignment: Assignment): Promise<void> {
    const { taskId, container } = assignment;
    if (container.runtime !== "process") await this.#options.images.check(container.image);
    await this.#starts.run(() => this.#orLook(taskId, () => this.#createOnce(assignment)));
    this.#unstarted.add(taskId);
  }

  async #createOnce(assignment: Assignment): Promise<void> {
    const { taskId } = assignment;
    const address = this.#addressFor(assignment);
    const networkTask = this.#options.providerOf(assignment);
    const resolver = this.#options.network()?.resolver();
    const containerId = await this.#options.runtime.create({
      assignment,
      ...(address === undefined ? {} : { address }),
      ...(networkTask === undefined ? {} : { networkTask }),
      ...(resolver === undefined ? {} : { resolver }),
    });
    if (assignment.limits !== undefined) this.#limits.set(taskId, assignment.limits);
    const known = { taskId, containerId, state: "created" as const };
    this.#options.containers.set({
      ...known,
      ...(address === undefined ? {} : { address }),
      ...(networkTask === undefined ? {} : { networkTask }),
    });
    // It waits for its turn, and makes it short.
    if (assignment.desired === "prepared") await this.#options.runtime.prepare?.(taskId);
  }

  /** In a line of its own: a slow registry must not hold up tasks whose image is here. */
  async #pull(container: ContainerSpec, reference = container.image): Promise<void> {
    const { runtime, images } = this.#options;
    if (await this.#fetch(container, reference)) return;
    await this.#pulls.run(() => runtime.pullImage(reference, container.platform));
    images.forget();
  }

  /** What the site has is asked for first, and by tasks that may ask no registry too. */
  async #fetch({ image, platform }: ContainerSpec, reference = image): Promise<boolean> {
    const { runtime, images, site } = this.#options;
    if (site === undefined) return false;
    const isHere = await this.#pulls.run(() => site.give(runtime, reference, platform));
    if (isHere) images.forget();
    return isHere;
  }

  #addressFor({ taskId, container }: Assignment): string | undefined {
    const { network, containers } = this.#options;
    const subnet = network()?.subnet;
    if (subnet === undefined || container.networkMode !== "bridge") return undefined;
    const held = this.#addresses.get(taskId);
    if (held !== undefined) return held;
    const taken = new Set(this.#addresses.values());
    for (const { address, state } of containers.all()) {
      // One that has ended is never started again, so its address is free.
      if (address !== undefined && state !== "exited") taken.add(address);
    }
    const address = freeAddress(subnet, taken, this.#lastAddress);
    if (address === undefined) {
      throw new OrchdError("runtime", "every address of this node's network is taken by a task");
    }
    this.#lastAddress = address;
    this.#addresses.set(taskId, address);
    return address;
  }
}
