import type { ContainerStatus } from "../driver.ts";
import { statusOf, type Inspected, type Listed } from "./container-status.ts";
import { isAlive } from "./service-process.ts";

const PARALLEL = 4;

/**
 * Completes Podman's list, which has times in whole seconds and no word on memory, with one
 * inspection per container that has changed since the last look.
 */
export class StatusCache {
  readonly #inspect: (id: string) => Promise<Inspected | undefined>;
  readonly #known = new Map<string, { key: string; status: ContainerStatus }>();

  constructor(inspect: (id: string) => Promise<Inspected | undefined>) {
    this.#inspect = inspect;
  }

  /** The status of each that is still there, in the list's order. */
  async complete(listed: readonly Listed[]): Promise<ContainerStatus[]> {
    const stale = listed.filter(
      (row) => this.#known.get(row.Id)?.key !== keyOf(row) || (row.Pid > 0 && !isAlive(row.Pid)),
    );
    const rows = stale.values();
    await Promise.all(Array.from({ length: PARALLEL }, () => this.#refresh(rows)));
    const present = new Set(listed.map((row) => row.Id));
    for (const id of this.#known.keys()) if (!present.has(id)) this.#known.delete(id);
    return listed.flatMap((row) => this.#known.get(row.Id)?.status ?? []);
  }

  forget(id: string): void {
    this.#known.delete(id);
  }

  async #refresh(rows: Iterator<Listed>): Promise<void> {
    for (let next = rows.next(); !next.done; next = rows.next()) {
      const row = next.value;
      const inspected = await this.#inspect(row.Id);
      const status = inspected === undefined ? undefined : statusOf(inspected);
      if (status === undefined) this.#known.delete(row.Id);
      else this.#known.set(row.Id, { key: keyOf(row), status });
    }
  }
}

function keyOf(row: Listed): string {
  return `${row.State} ${row.StartedAt} ${row.ExitedAt} ${row.ExitCode}`;
}
