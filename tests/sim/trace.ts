const KEPT = 60;

/** What happened, as a hash over all of it and the last lines for people. */
export class Trace {
  readonly #last: string[] = [];
  readonly #onLine: ((line: string) => void) | undefined;
  #hash = 0xcbf29ce484222325n;
  lines = 0;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(atMs: number, text: string): void {
    const line = `${(atMs / 1000).toFixed(3).padStart(9)} ${text}`;
    this.#hash = Bun.hash.wyhash(line, this.#hash);
    this.lines += 1;
    this.#last.push(line);
    if (this.#last.length > KEPT) this.#last.shift();
    this.#onLine?.(line);
  }

  hash(): string {
    return this.#hash.toString(16);
  }

  last(): readonly string[] {
    return this.#last;
  }
}
