import type { Clock, Timer } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Random } from "../../lib/random.ts";
import { CONTENT_BYTES_MAX } from "../../model/item.ts";

/** `orchd up` uses what it sent within seconds. */
const KEPT_MS = 10 * 60_000;
/** Of all that waits; the oldest makes room. */
const BYTES_MAX = 64 * 1024 * 1024;
const COUNT_MAX = 4096;

interface Upload {
  bytes: Uint8Array;
  timer: Timer;
}

/** Contents that people have sent and not used yet: in memory alone, and not for long. */
export class Uploads {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #uploads = new Map<string, Upload>();
  #bytes = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Keeps what was sent; answers the id under which it is used.
   * @throws OrchdError `tooLarge`
   */
  add(bytes: Uint8Array): string {
    const max = CONTENT_BYTES_MAX.config;
    if (bytes.length > max) {
      throw new OrchdError("tooLarge", `a content has at most ${max / 1024} KiB (${max} bytes)`);
    }
    const id = newId<"upload">(this.#random);
    this.#makeRoom(bytes.length);
    const timer = this.#clock.after(KEPT_MS, () => this.drop(id));
    this.#uploads.set(id, { bytes, timer });
    this.#bytes += bytes.length;
    return id;
  }

  get(id: string): Uint8Array | undefined {
    return this.#uploads.get(id)?.bytes;
  }

  drop(id: string): void {
    const upload = this.#uploads.get(id);
    if (upload === undefined) return;
    upload.timer.cancel();
    this.#uploads.delete(id);
    this.#bytes -= upload.bytes.length;
  }

  close(): void {
    for (const id of this.#uploads.keys()) this.drop(id);
  }

  #makeRoom(bytes: number): void {
    for (const id of this.#uploads.keys()) {
      if (this.#bytes + bytes <= BYTES_MAX && this.#uploads.size < COUNT_MAX) return;
      this.drop(id);
    }
  }
}
