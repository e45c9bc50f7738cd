import { formatBytes } from "../../lib/text.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import { LiveLines } from "../output/live.ts";

const DRAW_EVERY_MS = 200;

/** How much has gone by, drawn on standard error where that is a terminal, and nowhere else. */
export class ByteProgress {
  readonly #io: Io;
  readonly #what: string;
  readonly #live: LiveLines | undefined;
  readonly #startedAt: number;
  #drawnAt = 0;
  #bytes = 0;
  #isOver = false;

  /** @param what stands before the count: `reading shop_data` */
  constructor(io: Io, what: string) {
    this.#io = io;
    this.#what = what;
    this.#startedAt = io.clock.now();
    this.#live = io.stderr.isTerminal ? new LiveLines(io.stderr) : undefined;
  }

  async add(bytes: number): Promise<void> {
    this.#bytes += bytes;
    const now = this.#io.clock.now();
    if (this.#live === undefined || now - this.#drawnAt < DRAW_EVERY_MS) return;
    this.#drawnAt = now;
    const seconds = (now - this.#startedAt) / 1000;
    const rate = seconds < 1 ? "" : `, ${formatBytes(Math.round(this.#bytes / seconds))}/s`;
    await this.#live.draw([cleanText(`${this.#what}: ${formatBytes(this.#bytes)}${rate}`)]);
  }

  /** Nothing of it stays on the screen. */
  async end(): Promise<void> {
    if (this.#isOver || this.#live === undefined) return;
    this.#isOver = true;
    await this.#live.draw([]);
    await this.#live.end();
  }
}
