import type { Clock, Timer } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Admission } from "../api/env.ts";
import type { TokenId } from "../model/ids.ts";
import { type Token, tokenState } from "../model/token.ts";
import type { Store } from "../store/store.ts";

interface AdmissionsDeps {
  store: Store;
  clock: Clock;
}

/**
 * Whom tokens let in, for as long as they do: a log that is followed and a command that runs end
 * with the token that opened them.
 */
export class Admissions {
  readonly #deps: AdmissionsDeps;
  /** What ends with a token. */
  readonly #ends = new Map<TokenId, Set<() => void>>();

  constructor(deps: AdmissionsDeps) {
    this.#deps = deps;
    deps.store.watch(({ applied }) => {
      for (const { kind, before, after } of applied) {
        if (kind !== "token" || before === undefined) continue;
        if (after?.secretDigest !== before.secretDigest) this.#end(before.id);
      }
    });
  }

  of(token: Token): Admission {
    const { scopes } = token;
    return {
      ...(scopes === undefined ? {} : { scopes }),
      onEnd: (run) => this.#listen(token, run),
    };
  }

  #listen(token: Token, run: (why: OrchdError) => void): () => void {
    const ends = this.#ends.get(token.id) ?? new Set();
    let timer: Timer | undefined;
    const stop = () => {
      timer?.cancel();
      ends.delete(end);
      if (ends.size === 0) this.#ends.delete(token.id);
    };
    const end = () => {
      stop();
      run(ended());
    };
    const look = () => {
      if (!this.#isGood(token)) queueMicrotask(() => ends.has(end) && end());
      else if (token.expiresAt !== undefined) {
        timer = this.#deps.clock.after(token.expiresAt - this.#deps.clock.now(), look);
      }
    };
    ends.add(end);
    this.#ends.set(token.id, ends);
    look();
    return stop;
  }

  #isGood({ id, secretDigest }: Token): boolean {
    const { store, clock } = this.#deps;
    const token = store.view().tokens.get(id);
    return token?.secretDigest === secretDigest && tokenState(token, clock.now()) === "valid";
  }

  #end(id: TokenId): void {
    for (const end of this.#ends.get(id) ?? []) end();
  }
}

function ended(): OrchdError {
  const message =
    "the token has expired or was revoked meanwhile: " +
    "make one with `orchd token create --admin` on the server's machine";
  return new OrchdError("unauthorized", message);
}
