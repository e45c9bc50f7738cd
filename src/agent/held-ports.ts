import { messageChainOf } from "../lib/errors.ts";
import { equalJson } from "../lib/order.ts";
import type { Port } from "../model/service.ts";
import type { PortClaims } from "../net/ports.ts";

/** Whose the claims are; tasks have their ids there. */
const HOLDER = "published";

/**
 * The published ports that this node answers on for tasks wherever they are. One that another
 * program here has stays that program's, and is told of.
 */
export class HeldPorts {
  readonly #claims: Pick<PortClaims, "claim" | "release">;
  #wanted: readonly Port[] = [];
  #held: readonly Port[] = [];
  #problems: readonly string[] = [];

  constructor(claims: Pick<PortClaims, "claim" | "release">) {
    this.#claims = claims;
  }

  /** Why some are not held; a sentence each. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  isHeld(port: Port): boolean {
    return this.#held.some((one) => isSame(one, port));
  }

  /** Lets go of what is not wanted any more, and tries again what was refused before. */
  async hold(wanted: readonly Port[]): Promise<void> {
    if (this.#problems.length === 0 && equalJson(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    const held: Port[] = [];
    const problems: string[] = [];
    if (this.#held.some((port) => !wanted.some((one) => isSame(one, port)))) {
      await this.#claims.release(HOLDER);
    }
    for (const port of wanted) {
      try {
        await this.#claims.claim(port, HOLDER);
        held.push(port);
      } catch (error) {
        problems.push(messageChainOf(error));
      }
    }
    this.#held = held;
    this.#problems = problems;
  }
}

function isSame(a: Port, b: Port): boolean {
  return a.published === b.published && a.protocol === b.protocol && a.hostIp === b.hostIp;
}
