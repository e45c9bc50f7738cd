import type { Clock } from "../../src/lib/clock.ts";
import { OrchdError } from "../../src/lib/errors.ts";
import type { Random } from "../../src/lib/random.ts";
import { keyOf, type Applied, type Change, type Kind } from "../../src/model/change.ts";
import { MemoryView, type View } from "../../src/model/view.ts";
import type { Commit, CommitResult, Store } from "../../src/store/store.ts";
import { between, happens } from "./chance.ts";

/** What survives a power cut. */
export class Disk {
  /** The state after the last durable commit. */
  readonly view = new MemoryView();

  write({ applied, version }: Commit): void {
    for (const one of applied) this.view.apply([changeOf(one)], version);
    this.view.version = version;
  }
}

/** The change that was applied, with versions that do not matter to a view. */
function changeOf({ kind, before, after }: Applied): Change {
  if (after !== undefined) return { kind, op: "put", value: after } as Change;
  const put = { kind, op: "put", value: before } as Change;
  return { kind, op: "delete", key: keyOf(put), version: before?.version ?? 0 } as Change;
}

export interface StoreOptions {
  disk: Disk;
  /** The clock of the server's process. */
  clock: Clock;
  random: Random;
  /** Probability that the disk refuses a batch. */
  refuses: () => number;
  /** Called as each commit becomes durable, before anybody else hears of it. */
  onDurable: (commit: Commit) => void;
}

interface Waiting extends Commit {
  resolve(result: CommitResult): void;
  reject(error: OrchdError): void;
}

/** A store that behaves like the one in SQLite: the view moves at once, the disk a moment later. */
export class SimulatedStore implements Store {
  readonly #options: StoreOptions;
  readonly #view = new MemoryView();
  readonly #watchers = new Set<(commit: Commit) => void>();
  #waiting: Waiting[] = [];

  constructor(options: StoreOptions) {
    this.#options = options;
    const { view } = options.disk;
    const load = (kind: Kind, values: Iterable<{ version: number }>) => {
      for (const value of values) {
        this.#view.apply([{ kind, op: "put", value } as Change], value.version);
      }
    };
    if (view.cluster !== undefined) load("cluster", [view.cluster]);
    if (view.vault !== undefined) load("vault", [view.vault]);
    load("token", view.tokens.values());
    load("item", view.items.values());
    load("content", view.contents.values());
    load("node", view.nodes.values());
    load("stack", view.stacks.values());
    load("service", view.services.values());
    load("task", view.tasks.values());
    this.#view.version = view.version;
  }

  view(): View {
    return this.#view;
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    const conflict = this.#view.conflictIn(changes);
    if (conflict !== undefined) return { ok: false, conflict };
    const version = this.#view.version + (changes.length === 0 ? 0 : 1);
    const applied = this.#view.apply(changes, version);
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) {
        this.#options.clock.after(between(this.#options.random, 0, 5), () => this.#flush());
      }
      this.#waiting.push({ version, applied, resolve, reject });
    });
  }

  watch(onCommit: (commit: Commit) => void): () => void {
    const watcher = (commit: Commit) => onCommit(commit);
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  async close(): Promise<void> {
    this.#flush();
  }

  #flush(): void {
    const { disk, random, refuses, onDurable } = this.#options;
    const batch = this.#waiting;
    this.#waiting = [];
    const changed = batch.filter(({ applied }) => applied.length > 0);
    if (changed.length > 0 && happens(random, refuses())) {
      for (const { version, applied } of changed.toReversed()) {
        this.#view.revert(applied, version - 1);
      }
      const full = new OrchdError("noSpace", "the disk is full", { retryable: true });
      for (const waiting of batch) waiting.reject(full);
      return;
    }
    for (const commit of changed) {
      onDurable(commit);
      disk.write(commit);
    }
    for (const waiting of batch) waiting.resolve({ ok: true, version: waiting.version });
    for (const { version, applied } of changed) {
      for (const watcher of [...this.#watchers]) watcher({ version, applied });
    }
  }
}
