import * as fs from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { Mount } from "../../model/container.ts";
import type { NodeVolume } from "../../model/volume.ts";

/** Volumes that are in memory; their files, where there is a place for them, are real ones. */
export class FakeVolumes {
  readonly #runDir: string | undefined;
  readonly #volumes = new Map<string, NodeVolume>();

  constructor(runDir: string | undefined) {
    this.#runDir = runDir;
  }

  ensure(mount: Extract<Mount, { type: "volume" }>, createdAt: number): void {
    const { volume: name, external, labels, driver = "local" } = mount;
    if (name === "" || this.#volumes.has(name)) return;
    if (external) {
      throw new OrchdError("notFound", `the external volume ${name} does not exist on the node`);
    }
    this.#volumes.set(name, { name, driver, labels, createdAt, isOurs: true });
    const path = this.#pathOf(name);
    if (path !== undefined) fs.mkdirSync(path, { recursive: true });
  }

  remove(name: string): void {
    const path = this.#pathOf(name);
    if (this.#volumes.delete(name) && path !== undefined) fs.rmSync(path, { recursive: true });
  }

  list(): NodeVolume[] {
    return [...this.#volumes.values()];
  }

  path(name: string): string {
    const path = this.#pathOf(name);
    if (!this.#volumes.has(name) || path === undefined) {
      throw new OrchdError("notFound", `the volume ${name} is not on this node`);
    }
    return path;
  }

  #pathOf(name: string): string | undefined {
    return this.#runDir === undefined ? undefined : join(this.#runDir, "volumes", name);
  }
}
