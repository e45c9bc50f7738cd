import type { Clock, Timer } from "../lib/clock.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isLinkOpen, type NodeLink } from "../model/link.ts";
import { formatWindow } from "../model/window.ts";
import type { SiteImages } from "./site-images.ts";

const LOOK_EVERY_MS = 60_000;
const PUT_OFF_MAX = 1000;

export interface PutOffImagesOptions {
  clock: Clock;
  log: Log;
  link(this: void): NodeLink | undefined;
  runtime: Parameters<SiteImages["give"]>[0];
  /** Absent where there are no images but those of registries elsewhere. */
  site?: Pick<SiteImages, "give">;
  /** The runtime may have images by now that it did not have. */
  onCame(this: void): void;
}

/**
 * Images that no task of the node needs yet: they come while its link is open for them. What was
 * asked for at another time waits until then, in memory alone: a task that needs it gets it anyway.
 */
export class PutOffImages {
  readonly #options: PutOffImagesOptions;
  readonly #waiting = new Set<string>();
  #timer: Timer | undefined;

  constructor(options: PutOffImagesOptions) {
    this.#options = options;
  }

  /**
   * Answers those that are here now.
   * @throws OrchdError `conflict` when they come later, or why one of them can't be had
   */
  async fetch(references: readonly string[]): Promise<string[]> {
    const { clock, link } = this.#options;
    const { windows = [] } = link() ?? {};
    if (!isLinkOpen(link(), clock.now())) {
      for (const one of references.slice(0, PUT_OFF_MAX - this.#waiting.size)) {
        this.#waiting.add(one);
      }
      this.#timer ??= this.#lookLater();
      const times = windows.map(formatWindow).join("; ");
      throw new OrchdError("conflict", `its link is open for images ahead of need ${times}`);
    }
    const had: string[] = [];
    for (const reference of references) if (await this.#give(reference)) had.push(reference);
    return had;
  }

  async #give(reference: string): Promise<boolean> {
    const { site, runtime, onCame } = this.#options;
    try {
      return (await site?.give(runtime, reference)) === true;
    } finally {
      onCame();
    }
  }

  close(): void {
    this.#timer?.cancel();
  }

  #lookLater(): Timer {
    return this.#options.clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, link, log } = this.#options;
    for (const reference of this.#waiting) {
      if (!isLinkOpen(link(), clock.now())) break;
      this.#waiting.delete(reference);
      try {
        await this.#give(reference);
      } catch (error) {
        log.info(`${reference} is fetched when a task needs it: ${messageChainOf(error)}`);
      }
    }
    this.#timer = this.#waiting.size === 0 ? undefined : this.#lookLater();
  }
}
