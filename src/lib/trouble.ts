import type { Log } from "./log.ts";

/**
 * Something that is tried again and again until it works. The log tells when it goes wrong, when it
 * goes wrong in another way, and when it works again: not how often it was tried in between.
 */
export class Trouble {
  readonly #log: Log;
  readonly #overText: string;
  readonly #level: "warn" | "error";
  #text: string | undefined;

  /** @param overText what is told when it works again */
  constructor(log: Log, overText: string, level: "warn" | "error" = "warn") {
    this.#log = log;
    this.#overText = overText;
    this.#level = level;
  }

  get isThere(): boolean {
    return this.#text !== undefined;
  }

  /** It went wrong; answers whether that, or how, is news. */
  note(text: string): boolean {
    const isNews = text !== this.#text;
    if (isNews) this.#log[this.#level](text);
    this.#text = text;
    return isNews;
  }

  /** It worked. */
  over(): void {
    if (this.#text !== undefined) this.#log.info(this.#overText);
    this.#text = undefined;
  }
}
