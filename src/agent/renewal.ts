import { type Clock, type Timer, TIMER_MAX_MS } from "../lib/clock.ts";
import { messageChainOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Trouble } from "../lib/trouble.ts";
import { NODE_CERTIFICATE_MS } from "../pki/authority.ts";

const RETRY_MS = 3_600_000;

export interface RenewalOptions {
  clock: Clock;
  log: Log;
  /** Gets a new certificate from a server, or throws. */
  renew(): Promise<void>;
}

/** Renews a node's certificate at half its life, every hour until a server does. */
export class Renewal {
  readonly #options: RenewalOptions;
  readonly #trouble: Trouble;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options.log, "the certificate is renewed");
  }

  /** The certificate is good enough as it is for so long, as a server says. */
  dueIn(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.min(delayMs, TIMER_MAX_MS), () => {
      if (delayMs > TIMER_MAX_MS) return this.dueIn(delayMs - TIMER_MAX_MS);
      this.now().catch((error: unknown) => {
        this.#trouble.note(`the certificate is renewed later: ${messageChainOf(error)}`);
        this.dueIn(RETRY_MS);
      });
    });
  }

  /** @throws what the last server that was asked said */
  async now(): Promise<void> {
    await this.#options.renew();
    this.#trouble.over();
    // A session may last longer than a certificate: nobody else says when the next one is due.
    this.dueIn(NODE_CERTIFICATE_MS / 2);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
}
