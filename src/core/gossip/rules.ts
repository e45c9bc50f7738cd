import type { Context } from "./context.ts";
import { isFarAhead, whyRefused } from "./limits.ts";
import { isLive, type Member } from "./member.ts";
import type { Address, Alive, Dead, Suspect } from "./messages.ts";
import type { Refutation } from "./refutation.ts";
import { confirm, expiryOf, type Suspicion } from "./suspicion.ts";
import { confirmationsWanted, suspicionMinMs } from "./tuning.ts";

/** Foreign claims to this member's own name before they are called a conflict, not a memory. */
const CLAIMS_BEFORE_CONFLICT = 3;

interface RulesListener {
  /** Somebody else suspects this member, and this one is to look for itself. */
  onSuspected(name: string): void;
  /** This member is said to be alive with an incarnation that can't be believed by hearsay. */
  onFarAhead(name: string): void;
}

/**
 * What a message about a member changes (SWIM, section 4.2; memberlist, state.go). For one
 * incarnation alive gives way to suspect and that to dead or left, never back; only a higher
 * incarnation, which the member itself alone may take, makes it alive again.
 */
export class Rules {
  readonly #context: Context;
  readonly #refutation: Refutation;
  readonly #listener: RulesListener;
  #claims = 0;

  constructor(context: Context, refutation: Refutation, listener: RulesListener) {
    this.#context = context;
    this.#refutation = refutation;
    this.#listener = listener;
  }

  /** @param isOwnWord whether the member itself said it, on a stream to where it is known to be */
  alive(message: Alive, from?: Address, isOwnWord = false): void {
    const context = this.#context;
    const why = whyRefused(context, message, isOwnWord);
    if (why === "incarnation") this.#listener.onFarAhead(message.node);
    if (why !== undefined) return context.ignore(why, from);
    if (message.node === context.self.node) return this.#claimed(message);
    const known = context.roster.get(message.node);
    if (known !== undefined && message.incarnation <= known.incarnation) {
      return this.#noteConflict(known, message);
    }
    this.#endSuspicion(message.node);
    const { node, address, meta, incarnation, versions } = message;
    const isSame = known?.state === "alive";
    const since = isSame ? known.since : context.now;
    const after: Member = { node, address, meta, incarnation, versions, state: "alive", since };
    this.#change(known, after);
    context.broadcast(message);
  }

  suspect(message: Suspect, from?: Address): void {
    const context = this.#context;
    const known = context.roster.get(message.node);
    if (known === undefined || message.incarnation < known.incarnation) return;
    if (isFarAhead(known, message.incarnation)) return context.ignore("incarnation", from);
    const suspicion = context.suspicions.get(message.node);
    if (suspicion !== undefined) return this.#confirm(suspicion, message);
    if (known.state !== "alive") return;
    if (known.node === context.self.node) return this.#refutation.against(message.incarnation);
    const { incarnation } = message;
    this.#change(known, { ...known, incarnation, state: "suspect", since: context.now });
    context.suspicions.set(known.node, this.#newSuspicion(message));
    context.broadcast(message);
    if (message.from === context.self.node) return;
    const { confirmers } = context.tuning;
    if (confirmers === 0) return;
    if (context.random.next() * context.roster.liveCount < confirmers)
      this.#listener.onSuspected(known.node);
  }

  dead(message: Dead, from?: Address): void {
    const context = this.#context;
    const known = context.roster.get(message.node);
    if (known === undefined || message.incarnation < known.incarnation) return;
    if (isFarAhead(known, message.incarnation)) return context.ignore("incarnation", from);
    if (!isLive(known)) return;
    const isSelf = known.node === context.self.node;
    if (isSelf && !context.hasLeft) return this.#refutation.against(message.incarnation);
    this.#endSuspicion(known.node);
    const { incarnation } = message;
    const state = message.node === message.from ? "left" : "dead";
    this.#change(known, { ...known, incarnation, state, since: context.now });
    // A deaf member's word is an opinion: whoever hears it is to look for himself.
    if (context.isDeaf && !isSelf) context.broadcast({ ...message, type: "suspect" });
    else context.broadcast(message, isSelf ? () => context.emit({ type: "left" }) : undefined);
    if (!isSelf) this.#forgetLater(known.node, context.now);
  }

  /**
   * A packet came in. After a time in which none did, whom this member suspected could not answer:
   * all of them get their whole time again.
   */
  hear(): void {
    const context = this.#context;
    if (context.isDeaf) {
      for (const [node, suspicion] of context.suspicions) {
        suspicion.startedAt = context.now;
        this.#setTimer(suspicion, node);
      }
    }
    context.heardAt = context.now;
  }

  /** Somebody says that this member is alive: an old memory of it, or another one of its name. */
  #claimed(message: Alive): void {
    const { self, hasLeft } = this.#context;
    if (hasLeft || message.incarnation < self.incarnation) return;
    if (message.incarnation === self.incarnation && isSameMember(self, message)) return;
    if (!isSameAddress(self.address, message.address)) {
      this.#claims += 1;
      if (this.#claims >= CLAIMS_BEFORE_CONFLICT) this.#emitConflict(self, message);
    }
    this.#refutation.against(message.incarnation);
  }

  /** Two that have one name and one incarnation and are in two places are two processes. */
  #noteConflict(known: Member, message: Alive): void {
    if (!isLive(known) || message.incarnation < known.incarnation) return;
    if (!isSameAddress(known.address, message.address)) this.#emitConflict(known, message);
  }

  #emitConflict({ node, address }: Member, message: Alive): void {
    this.#context.emit({ type: "conflict", node, known: address, other: message.address });
  }

  #newSuspicion({ node, from }: Suspect): Suspicion {
    const { tuning, roster, now } = this.#context;
    const n = roster.liveCount;
    const minMs = suspicionMinMs(tuning, n);
    const wanted = confirmationsWanted(tuning, n);
    const maxMs = minMs * tuning.suspicionMaxMult;
    const accusers = new Set([from]);
    const suspicion = { startedAt: now, minMs, maxMs, wanted, accusers, timer: undefined };
    this.#setTimer(suspicion, node);
    return suspicion;
  }

  #confirm(suspicion: Suspicion, message: Suspect): void {
    if (!confirm(suspicion, message.from)) return;
    this.#setTimer(suspicion, message.node);
    this.#context.broadcast(message);
  }

  #setTimer(suspicion: Suspicion, node: string): void {
    const context = this.#context;
    context.timers.cancel(suspicion.timer);
    const at = Math.max(context.now, expiryOf(suspicion));
    suspicion.timer = context.at(at, () => this.#giveUp(node));
  }

  #giveUp(node: string): void {
    const context = this.#context;
    const known = context.roster.get(node);
    if (known?.state !== "suspect") return;
    const suspicion = context.suspicions.get(node);
    const lastAt = suspicion === undefined ? 0 : suspicion.startedAt + suspicion.maxMs;
    if (suspicion !== undefined && context.isDeaf && context.now < lastAt) {
      // Confirmations say nothing of an answer that could not come in.
      suspicion.timer = context.at(lastAt, () => this.#giveUp(node));
      return;
    }
    const { incarnation } = known;
    this.dead({ type: "dead", incarnation, node, from: context.self.node });
  }

  #endSuspicion(node: string): void {
    this.#context.timers.cancel(this.#context.suspicions.get(node)?.timer);
    this.#context.suspicions.delete(node);
  }

  #forgetLater(node: string, since: number): void {
    const context = this.#context;
    context.at(since + context.tuning.reapAfterMs, () => {
      const known = context.roster.get(node);
      if (known === undefined || isLive(known) || known.since !== since) return;
      context.roster.forget(node);
      context.emit({ type: "changed", node, before: known, after: undefined });
    });
  }

  #change(before: Member | undefined, after: Member): void {
    this.#context.roster.put(after);
    this.#context.emit({ type: "changed", node: after.node, before, after });
  }
}

function isSameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

function isSameMember(self: Member, message: Alive): boolean {
  return (
    isSameAddress(self.address, message.address) &&
    isSameBytes(self.meta, message.meta) &&
    self.versions.every((version, i) => version === message.versions[i])
  );
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
