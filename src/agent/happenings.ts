import { type Happening, HAPPENINGS_MAX } from "../model/event.ts";

/** What happened while no server was in reach waits for one; of very many the latest. */
export class WaitingHappenings {
  readonly #tell: (happenings: readonly Happening[]) => boolean;
  #waiting: Happening[] = [];

  /** @param tell answers whether a server hears it */
  constructor(tell: (happenings: readonly Happening[]) => boolean) {
    this.#tell = tell;
  }

  add(happening: Happening): void {
    this.#waiting = [...this.#waiting, happening].slice(-HAPPENINGS_MAX);
    this.flush();
  }

  /** A server is there, or may be. */
  flush(): void {
    if (this.#waiting.length > 0 && this.#tell(this.#waiting)) this.#waiting = [];
  }
}
