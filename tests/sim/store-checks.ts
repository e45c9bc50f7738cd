import type { Commit, Store } from "../../src/store/store.ts";
import type { Invariant, Violation } from "./violation.ts";
import { wrap } from "./wrap.ts";

/** What a store promises to those who write, read and watch, over all lives of its server. */
export class StoreChecks {
  #durable = 0;
  #acknowledged = 0;
  /** Durable commits that the watchers have not heard of yet. */
  readonly #untold: Commit[] = [];
  readonly #onBroken: (violation: Violation) => void;

  constructor(onBroken: (violation: Violation) => void) {
    this.#onBroken = onBroken;
  }

  /**
   * The same store, looked after for as long as its process lives.
   * @param isDead what a process still computes after its end is seen by nobody
   */
  follow(store: Store, isDead: () => boolean): Store {
    store.watch((commit) => this.#onTold(commit));
    return wrap(store, {
      view: () => {
        const view = store.view();
        if (!isDead()) this.#onRead(view.version);
        return view;
      },
      commit: (changes) => {
        const written = store.commit(changes);
        written.then(
          (result) => {
            if (result.ok) this.#acknowledged = Math.max(this.#acknowledged, result.version);
          },
          () => undefined,
        );
        return written;
      },
    });
  }

  onDurable(commit: Commit): void {
    const { version } = commit;
    if (version <= this.#durable) this.#broken("S8", `${version} comes after ${this.#durable}`);
    this.#durable = version;
    this.#untold.push(commit);
  }

  /** A store tells its watchers before anything else happens. */
  afterEvent(): void {
    const [commit] = this.#untold;
    if (commit === undefined) return;
    this.#broken("S9", `watchers hear nothing of version ${commit.version}`);
  }

  #onRead(version: number): void {
    if (version >= this.#acknowledged) return;
    this.#broken("S8", `version ${version} is read, and ${this.#acknowledged} was acknowledged`);
  }

  #onTold({ version, applied }: Commit): void {
    const next = this.#untold.shift();
    if (next?.version !== version) {
      const due = next === undefined ? "nothing" : `version ${next.version}`;
      return this.#broken("S9", `watchers hear of version ${version}, and ${due} is due`);
    }
    const isWhole =
      next.applied.length === applied.length &&
      next.applied.every(({ after }, i) => applied[i]?.after === after);
    if (!isWhole) this.#broken("S9", `watchers hear of other changes in version ${version}`);
  }

  #broken(invariant: Invariant, message: string): void {
    this.#onBroken({ invariant, message });
  }
}
