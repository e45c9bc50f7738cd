import { statfs } from "node:fs/promises";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { VolumeMount } from "../../model/container.ts";
import { volumesOfAssignment } from "../../model/task-volumes.ts";
import type { TemplateNode } from "../../model/template-context.ts";
import type {
  Consistency,
  NodeVolume,
  VolumeCalls,
  VolumeContents,
  VolumeHold,
  VolumePlace,
  VolumeReading,
  WriteVolumeOptions,
} from "../../model/volume.ts";
import type { Runtime } from "../../runtime/driver.ts";
import { measureTree } from "../../tree/measure-tree.ts";
import { OpenDirectory } from "../../tree/open-directory.ts";
import { placeOf } from "../../tree/place.ts";
import { readTree } from "../../tree/read-tree.ts";
import { finishRestoreAt, RestoreArea } from "../../tree/restore-area.ts";
import { writeTree } from "../../tree/write-tree.ts";
import type { Interruption, Interruptions } from "./interruptions.ts";

const ENTRIES_MAX = 10_000_000;
/** What a disk keeps free whatever a volume is filled with. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const NOBODY: Interruption = { end: async () => {}, leave: () => {} };

export interface NodeVolumesOptions {
  log: Log;
  runtime: Runtime;
  interruptions: Interruptions;
  node: TemplateNode;
}

/** The volumes of this node: what is there, their files out and in. */
export class NodeVolumes implements VolumeCalls {
  readonly #options: NodeVolumesOptions;
  /** Volumes that somebody reads or writes while nobody may begin to use them. */
  readonly #busy = new Map<string, PromiseWithResolvers<void>>();

  constructor(options: NodeVolumesOptions) {
    this.#options = options;
  }

  async list(options: {
    names?: readonly string[] | undefined;
    sizes: boolean;
  }): Promise<NodeVolume[]> {
    const all = await this.#options.runtime.volumes();
    const { names, sizes } = options;
    const asked = names === undefined ? all : all.filter(({ name }) => names.includes(name));
    if (!sizes) return asked;
    const measured: NodeVolume[] = [];
    for (const volume of asked) measured.push(await this.#measured(volume));
    return measured;
  }

  /** The named volumes that a task mounts. */
  namesOf(assignment: Assignment): string[] {
    return volumesOfAssignment(assignment, this.#options.node).map(({ volume }) => volume);
  }

  /** Whether somebody reads or writes the volume while nobody may begin to use it. */
  isBusy(volume: string): boolean {
    return this.#busy.has(volume);
  }

  /** Resolves once nobody reads or writes the task's volumes while they must not be used. */
  async whenFree(assignment: Assignment): Promise<void> {
    for (const volume of this.namesOf(assignment)) {
      while (this.#busy.has(volume)) await this.#busy.get(volume)?.promise;
    }
  }

  /**
   * What an agent that was killed left half done is brought to an end before a task uses it.
   * @throws OrchdError what the runtime throws for a volume that is there
   */
  async settle(mount: VolumeMount): Promise<void> {
    try {
      await finishRestoreAt(await this.#options.runtime.volumePath(mount.volume));
    } catch (error) {
      // Files that are elsewhere were never written by us.
      if (error instanceof OrchdError && error.code !== "unreachable") return;
      throw error;
    }
  }

  async place(name: string): Promise<VolumePlace> {
    return placeOf(await this.#options.runtime.volumePath(name));
  }

  /**
   * The volume's files as an archive.
   * @throws OrchdError `notFound`, `conflict` while somebody else reads or writes it
   */
  async read(name: string, how: Consistency | "held"): Promise<VolumeReading> {
    const path = await this.#options.runtime.volumePath(name);
    const free = how === "held" ? () => {} : this.#take(name, how === "live");
    let interruption = NOBODY;
    try {
      interruption = await this.#interrupt(name, how);
      await finishRestoreAt(path);
    } catch (error) {
      await interruption.end();
      free();
      throw error;
    }
    const pieces = readTree(path);
    const close = once(async () => {
      await pieces.return(undefined);
      await interruption.end();
      free();
    });
    return { pieces, close };
  }

  /**
   * Puts what an archive holds in the place of what the volume has; an archive that is not whole
   * changes nothing. A volume that is not there is made.
   * @throws OrchdError `conflict` while tasks use it and are not to be stopped; `damaged`,
   * `invalid`, `noSpace`
   */
  async write(
    name: string,
    archive: AsyncIterable<Uint8Array>,
    { stop, mount }: WriteVolumeOptions,
  ): Promise<VolumeContents> {
    const { runtime, interruptions } = this.#options;
    const users = interruptions.usersOf(name);
    if (users.length > 0 && !stop) {
      const who = users.map(({ stack, service, slot }) => `${stack}/${service}.${slot}`);
      const message = `the volume ${name} is in use by ${who.join(", ")}: add --stop, or stop them`;
      throw new OrchdError("conflict", message);
    }
    const free = this.#take(name);
    let interruption = NOBODY;
    try {
      const isThere = (await runtime.volumes()).some((volume) => volume.name === name);
      if (!isThere) await runtime.ensureVolume(mount ?? plainMount(name));
      try {
        interruption = await interruptions.begin(name, "stopped");
        return await fill(await runtime.volumePath(name), archive);
      } catch (error) {
        if (!isThere) await this.#removeMade(name);
        throw error;
      }
    } finally {
      await interruption.end();
      free();
    }
  }

  /** Stops the tasks that use the volume until whoever asked says what is to become of them. */
  async hold(name: string): Promise<VolumeHold> {
    const free = this.#take(name);
    try {
      const interruption = await this.#options.interruptions.begin(name, "moving");
      return {
        release: () => interruption.end().finally(free),
        leave: async (generation) => {
          interruption.leave(generation);
          free();
        },
      };
    } catch (error) {
      free();
      throw error;
    }
  }

  async #measured(volume: NodeVolume): Promise<NodeVolume> {
    try {
      const path = await this.#options.runtime.volumePath(volume.name);
      const { bytes: sizeBytes, files } = await measureTree(path);
      return { ...volume, sizeBytes, files };
    } catch (error) {
      return { ...volume, problem: messageChainOf(error).slice(0, 1000) };
    }
  }

  #interrupt(name: string, how: Consistency | "held"): Promise<Interruption> {
    if (how === "live" || how === "held") return Promise.resolve(NOBODY);
    return this.#options.interruptions.begin(name, how === "stop" ? "stopped" : "frozen");
  }

  /**
   * Takes a volume for oneself; answers how to give it back. Tasks wait before they begin to use
   * it, unless it is only looked at.
   */
  #take(name: string, isLook = false): () => void {
    if (this.#busy.has(name)) {
      const message = `the volume ${name} is being read or written already: try again later`;
      throw new OrchdError("conflict", message, { retryable: true });
    }
    if (isLook) return () => {};
    const busy = Promise.withResolvers<void>();
    this.#busy.set(name, busy);
    return () => {
      this.#busy.delete(name);
      busy.resolve();
    };
  }

  async #removeMade(name: string): Promise<void> {
    try {
      await this.#options.runtime.removeVolume(name);
    } catch (error) {
      this.#options.log.warn(`the empty volume ${name} stays: ${messageChainOf(error)}`);
    }
  }
}

async function fill(path: string, archive: AsyncIterable<Uint8Array>): Promise<VolumeContents> {
  const { bavail, bsize, ffree } = await statfs(path);
  const limits = {
    bytesMax: Math.max(0, bavail * bsize - RESERVE_BYTES),
    entriesMax: Math.min(ENTRIES_MAX, ffree === 0 ? ENTRIES_MAX : ffree),
  };
  const top = OpenDirectory.top(path);
  try {
    const area = await RestoreArea.begin(top);
    const fresh = area.openNew();
    let contents: VolumeContents;
    try {
      contents = await writeTree(fresh, archive, limits);
      await syncFiles(path);
    } catch (error) {
      await area.discard();
      throw error;
    } finally {
      fresh.close();
    }
    await area.commit();
    return contents;
  } finally {
    top.close();
  }
}

/** Everything that was written below is on the disk; a process of its own waits for that. */
async function syncFiles(path: string): Promise<void> {
  const sync = Bun.spawn(["sync", "-f", path], { stdout: "ignore", stderr: "ignore" });
  if ((await sync.exited) === 0) return;
  // A `sync` that knows no file systems takes all of them.
  await Bun.spawn(["sync"], { stdout: "ignore", stderr: "ignore" }).exited;
}

function plainMount(volume: string): VolumeMount {
  const nothing = { readOnly: false, noCopy: false, external: false };
  return { type: "volume", volume, target: "/", ...nothing, driverOptions: {}, labels: {} };
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
