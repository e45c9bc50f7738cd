import type { View } from "../../model/view.ts";
import type { Candidate } from "./candidate.ts";
import { guestSoon, type Guest } from "./room.ts";

/**
 * Room that tasks wait for: what is about to be free goes to the higher priority, and not to the
 * lower one that happens to fit in before all of it is.
 */
export class Claims {
  readonly #view: View;
  #waiting: { priority: number; guest: Guest }[] = [];

  constructor(view: View) {
    this.#view = view;
  }

  /** Notes where the task, which found no node, will have room, if it will. */
  note(candidate: Candidate, priority: number, guests: readonly Guest[]): void {
    const guest = guestSoon(this.#view, candidate, guests);
    if (guest !== undefined) this.#waiting.push({ priority, guest });
  }

  /** What counts as taken for tasks of this priority; each claim is told once. */
  take(priority: number): Guest[] {
    const taken = this.#waiting.filter((claim) => claim.priority > priority);
    this.#waiting = this.#waiting.filter((claim) => claim.priority <= priority);
    return taken.map(({ guest }) => guest);
  }
}
