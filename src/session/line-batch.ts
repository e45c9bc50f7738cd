import type { Clock, Timer } from "../lib/clock.ts";

/** A batch goes out when it is as large as this … */
const BATCH_BYTES = 16 * 1024;
/** … or as old as this. */
const LINGER_MS = 20;

/** Gathers lines into few frames; whoever adds them waits while the reader is slow. */
export class LineBatch {
  readonly #clock: Clock;
  readonly #send: (bytes: Uint8Array) => Promise<void>;
  readonly #encoder = new TextEncoder();
  #lines: string[] = [];
  #characters = 0;
  #timer: Timer | undefined;
  #sent: Promise<void> = Promise.resolve();

  constructor(clock: Clock, send: (bytes: Uint8Array) => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Resolves when there is room for another line. */
  add(line: string): Promise<void> {
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#characters >= BATCH_BYTES) return this.flush();
    // What fails here fails again at the next line, where somebody waits for it.
    this.#timer ??= this.#clock.after(LINGER_MS, () => void this.flush().catch(() => {}));
    return Promise.resolve();
  }

  /** Resolves when everything is on its way. */
  flush(): Promise<void> {
    this.cancel();
    if (this.#lines.length === 0) return this.#sent;
    const bytes = this.#encoder.encode(`${this.#lines.join("\n")}\n`);
    this.#lines = [];
    this.#characters = 0;
    this.#sent = this.#sent.then(() => this.#send(bytes));
    return this.#sent;
  }

  /** Takes the timer along. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
