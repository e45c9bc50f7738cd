import type { Happening } from "../model/event.ts";

/** Passes on what happens and leaves no object of the store behind. */
export class Happenings {
  readonly #listeners: ((happening: Happening) => void)[] = [];

  listen(listener: (happening: Happening) => void): void {
    this.#listeners.push(listener);
  }

  tell(happening: Happening): void {
    for (const listener of this.#listeners) listener(happening);
  }
}
