import { messageChainOf } from "../lib/errors.ts";
import { equalJson } from "../lib/order.ts";
import type { Port } from "../model/service.ts";
import { keyOfPort, type PortClaims } from "../net/ports.ts";

/** Whose the claims are; tasks have their ids there. */
const HOLDER = "published";

type Claims = Pick<PortClaims, "claim" | "keep">;

/**
 * The published ports that this node answers on for tasks wherever they are. One that another
 * program here has stays that program's, and is told of.
 */
export class HeldPorts {
  readonly #claims: Claims;
  #wanted: readonly Port[] | undefined;
  #held: ReadonlySet<string> = new Set();
  #problems: readonly string[] = [];

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  /** Why some are not held; a sentence each. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  isHeld(port: Port): boolean {
    return this.#held.has(keyOfPort(port));
  }

  /** Lets go of what is not wanted any more, and tries again what was refused before. */
  async hold(wanted: readonly Port[]): Promise<void> {
    if (this.#problems.length === 0 && equalJson(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    const held = new Set<string>();
    const problems: string[] = [];
    await this.#claims.keep(HOLDER, wanted);
    for (const port of wanted) {
      try {
        await this.#claims.claim(port, HOLDER);
        held.add(keyOfPort(port));
      } catch (error) {
        problems.push(messageChainOf(error));
      }
    }
    this.#held = held;
    this.#problems = problems;
  }
}
