import { EXPANSION_LENGTH_MAX, NODES_MAX } from "./limits.ts";
import type { ProblemList } from "./problem.ts";
import type { Place } from "./source-file.ts";

/** What one load may still use; when it is used up, that is one problem and the load ends early. */
export class Budget {
  readonly #problems: ProblemList;
  #nodes = NODES_MAX;
  #characters = EXPANSION_LENGTH_MAX;
  #isSpent = false;

  constructor(problems: ProblemList) {
    this.#problems = problems;
  }

  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** Takes `count` nodes; answers whether that many were left. */
  takeNodes(count: number, at: Place): boolean {
    this.#nodes -= count;
    if (this.#nodes < 0) {
      const bound = NODES_MAX.toLocaleString("en");
      this.#stop(at, `the files hold more than ${bound} values once aliases are followed`);
    }
    return !this.#isSpent;
  }

  /** Takes `count` characters of interpolated text; answers whether that many were left. */
  takeCharacters(count: number, at: Place): boolean {
    this.#characters -= count;
    if (this.#characters < 0) this.#stop(at, "the files grow too large by interpolation");
    return !this.#isSpent;
  }

  #stop(at: Place, message: string): void {
    if (this.#isSpent) return;
    this.#isSpent = true;
    this.#problems.error(at, "", message);
  }
}
