import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "./lab.ts";

/** By which a host's containers are run. */
export type LabRuntime = "podman" | "containerd";
export const LAB_RUNTIMES: readonly LabRuntime[] = ["podman", "containerd"];

/** What a host's runtime itself says of containers, and does with them, beside orchd. */
export interface LabContainers {
  /** A line for each running one of a stack: its id, and what tells its start from another one. */
  running(stack: string): Promise<string[]>;
  /** Ids of all that there are, in any state. */
  all(): Promise<string[]>;
  /** The id of a task's container that runs. */
  of(taskId: string): Promise<string>;
  /** Runs a command in a container; answers what it printed. */
  inside(id: string, command: readonly string[]): Promise<string>;
  /** Ends a container from outside, as a crash does. */
  kill(id: string): Promise<void>;
  /** All that is known of a container. */
  inspect(id: string): Promise<string>;
  /** Names of volumes. */
  volumes(): Promise<string[]>;
}

export const LAB_CONTAINERS: Readonly<Record<LabRuntime, (lab: () => Lab) => LabContainers>> = {
  podman: (lab) => new PodmanContainers(lab),
  containerd: (lab) => new ContainerdContainers(lab),
};

class PodmanContainers implements LabContainers {
  readonly #lab: () => Lab;

  constructor(lab: () => Lab) {
    this.#lab = lab;
  }

  async running(stack: string): Promise<string[]> {
    const filter = `label=orchd.stack=${stack}`;
    const ids = linesOf(await this.#ask("ps", "--no-trunc", "--quiet", "--filter", filter));
    if (ids.length === 0) return [];
    const format = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}";
    const found = await this.#lab().podman("inspect", "--format", format, ...ids);
    // One of them went in between: what is left is asked for anew.
    if (found.code !== 0) return this.running(stack);
    return linesOf(found.stdout);
  }

  async all(): Promise<string[]> {
    return linesOf(await this.#ask("ps", "--all", "--quiet"));
  }

  async of(taskId: string): Promise<string> {
    const filter = `label=orchd.task=${taskId}`;
    const [id] = linesOf(await this.#ask("ps", "--quiet", "--filter", filter));
    if (id === undefined) throw new Error(`Podman runs nothing of the task ${taskId}`);
    return id;
  }

  inside(id: string, command: readonly string[]): Promise<string> {
    return this.#ask("exec", id, ...command);
  }

  async kill(id: string): Promise<void> {
    await this.#ask("kill", id);
  }

  inspect(id: string): Promise<string> {
    return this.#ask("inspect", id);
  }

  async volumes(): Promise<string[]> {
    return linesOf(await this.#ask("volume", "ls", "--quiet"));
  }

  async #ask(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#lab().podman(...words);
    if (code !== 0) throw new Error(`podman ${words.join(" ")}: ${stderr}`);
    return stdout;
  }
}

/** Those of the containerd that orchd starts, whose ids are their tasks'. */
class ContainerdContainers implements LabContainers {
  readonly #lab: () => Lab;

  constructor(lab: () => Lab) {
    this.#lab = lab;
  }

  async running(stack: string): Promise<string[]> {
    const filter = `labels."orchd.stack"==${stack}`;
    const ids = linesOf(await this.#ask("container", "list", "--quiet", filter));
    const tasks = linesOf(await this.#ask("task", "list"));
    return tasks.filter((line) => {
      const [id = "", , state] = line.split(/\s+/);
      return ids.includes(id) && state === "RUNNING";
    });
  }

  async all(): Promise<string[]> {
    return linesOf(await this.#ask("container", "list", "--quiet"));
  }

  of(taskId: string): Promise<string> {
    return Promise.resolve(taskId);
  }

  inside(id: string, command: readonly string[]): Promise<string> {
    return this.#ask("task", "exec", "--exec-id", "lab", id, ...command);
  }

  async kill(id: string): Promise<void> {
    await this.#ask("task", "kill", "--signal", "SIGKILL", id);
  }

  inspect(id: string): Promise<string> {
    return this.#ask("container", "info", id);
  }

  /** containerd has none: they are orchd's own directories. */
  volumes(): Promise<string[]> {
    const path = join(this.#lab().dir, "orchd", "containerd", "volumes");
    return Promise.resolve(existsSync(path) ? readdirSync(path).toSorted() : []);
  }

  async #ask(...words: string[]): Promise<string> {
    const ctr = ["ctr", "--address", "/run/orchd/containerd.sock", "--namespace", "orchd"];
    const { code, stdout, stderr } = await this.#lab().run([...ctr, ...words]);
    if (code !== 0) throw new Error(`ctr ${words.join(" ")}: ${stderr}`);
    return stdout;
  }
}

function linesOf(text: string): string[] {
  return text.trim().split("\n").filter(Boolean).toSorted();
}
