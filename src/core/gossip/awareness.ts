/**
 * How well this member itself is, from 0 (well) to `multiplierMax - 1` (Lifeguard, section IV-A):
 * up when probes fail without nacks, when it stood still, and when others suspect it; down with
 * each probe that succeeds.
 */
export class Awareness {
  readonly #scoreMax: number;
  #score = 0;

  constructor(multiplierMax: number) {
    this.#scoreMax = Math.max(0, multiplierMax - 1);
  }

  get score(): number {
    return this.#score;
  }

  change(delta: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + delta));
  }

  /** A time as it is for a member in this health. */
  scale(timeMs: number): number {
    return timeMs * (this.#score + 1);
  }
}
