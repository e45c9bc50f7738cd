import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Random } from "../lib/random.ts";
import type { Admission } from "../api/env.ts";
import { put, remove } from "../model/change.ts";
import type { TokenId } from "../model/ids.ts";
import {
  type NewToken,
  type Token,
  type TokenRequest,
  tokenState,
  tokenSummaryOf,
} from "../model/token.ts";
import { formatToken, newSecret, parseToken } from "../model/token-text.ts";
import type { View } from "../model/view.ts";
import { digestOfSecret, sameDigest } from "../pki/digest.ts";
import type { Store } from "../store/store.ts";
import { Admissions } from "./admissions.ts";
import { caDigestIn } from "./cluster-keys.ts";
import { commitFresh } from "./commit-fresh.ts";

const TOKENS_MAX = 1000;
/** Where people get a token: the end of every sentence that refuses one. */
const MAKE_ONE = "make one with `orchd token create` on the server's machine";
const MAKE_ADMIN = "make one with `orchd token create --admin` on the server's machine";

interface TokensDeps {
  store: Store;
  clock: Clock;
  random: Random;
  /** `ip:port` of every server. */
  servers: () => string[];
}

/** Makes and ends tokens, and says whom one lets in. Secrets are told once and kept nowhere. */
export class Tokens {
  readonly #deps: TokensDeps;
  readonly #admissions: Admissions;

  constructor(deps: TokensDeps) {
    this.#deps = deps;
    this.#admissions = new Admissions(deps);
  }

  /** @throws OrchdError `invalid`, `conflict` when there are too many */
  async create(request: TokenRequest): Promise<NewToken> {
    const { store, clock, random } = this.#deps;
    if (request.kind !== "join" && request.usesMax !== undefined) {
      const which = request.kind === "admin" ? "an admin token" : "a token for images";
      throw new OrchdError("invalid", `${which} has no number of uses: let it expire instead`);
    }
    if ((request.kind === "registry") !== (request.scopes !== undefined)) {
      throw new OrchdError("invalid", "scopes are for a token of kind registry, which needs one");
    }
    const secret = newSecret(random);
    const token = newToken(newId<"token">(random), secret, request, clock.now());
    await commitFresh(store, (view) => {
      if (view.tokens.size >= TOKENS_MAX) {
        const message = `there are ${TOKENS_MAX} tokens: revoke some that are of no use any more`;
        throw new OrchdError("conflict", message);
      }
      return [put.token(token)];
    });
    return this.#told(token, secret);
  }

  /**
   * Gives a token a new secret; the old one opens nothing from then on.
   * @throws OrchdError `notFound`, `conflict` when it is not good for anything any more
   */
  async rotate(id: TokenId): Promise<NewToken> {
    const { store, clock, random } = this.#deps;
    const secret = newSecret(random);
    let rotated = undefined as Token | undefined;
    await commitFresh(store, (view) => {
      const token = tokenNamed(view, id);
      if (tokenState(token, clock.now()) !== "valid") {
        const message = "the token has ended: make a new one instead of a new secret for it";
        throw new OrchdError("conflict", message);
      }
      rotated = { ...token, secretDigest: digestOfSecret(secret) };
      return [put.token(rotated)];
    });
    assert(rotated !== undefined, "a plan that was committed has a token");
    return this.#told(rotated, secret);
  }

  /** @throws OrchdError `notFound` */
  async revoke(id: TokenId): Promise<void> {
    await commitFresh(this.#deps.store, (view) => [remove.token(tokenNamed(view, id))]);
  }

  /**
   * Lets a person in for as long as the token is good, or throws `unauthorized` with one sentence.
   * @param authorization the header of that name
   */
  admit(authorization: string | undefined): Admission {
    const text = tokenIn(authorization ?? "");
    if (text === undefined) {
      throw unauthorized(`this server takes no one without a token: ${MAKE_ADMIN}`);
    }
    const parsed = parseToken(text);
    if (!parsed.ok) throw unauthorized(parsed.problem);
    const { store, clock } = this.#deps;
    const view = store.view();
    if (!sameDigest(parsed.value.caDigest, caDigestIn(view))) {
      throw unauthorized("the token is one of another cluster: use one of this cluster");
    }
    const token = tokenWith(view, parsed.value.secret, clock.now(), MAKE_ADMIN);
    if (token.kind === "join") {
      throw unauthorized(`the token lets machines join and no one else in: ${MAKE_ADMIN}`);
    }
    return this.#admissions.of(token);
  }

  #told(token: Token, secret: string): NewToken {
    const { store, clock, servers } = this.#deps;
    const caDigest = caDigestIn(store.view());
    return {
      token: tokenSummaryOf(token, clock.now()),
      text: formatToken({ caDigest, secret }),
      servers: servers(),
    };
  }
}

/** A token that opens with `secret`. */
export function newToken(
  id: TokenId,
  secret: string,
  { kind, scopes, description, expiresInMs, usesMax }: TokenRequest,
  now: number,
): Token {
  return {
    id,
    kind,
    ...(scopes === undefined ? {} : { scopes }),
    secretDigest: digestOfSecret(secret),
    description,
    createdAt: now,
    ...(expiresInMs === undefined ? {} : { expiresAt: now + expiresInMs }),
    ...(usesMax === undefined ? {} : { usesMax }),
    uses: 0,
    version: 0,
  };
}

/**
 * The token that a secret opens, unless its time is over; how often it was used is not looked at.
 * @param advice where to get another one
 * @throws OrchdError `unauthorized`
 */
export function tokenWith(view: View, secret: string, now: number, advice = MAKE_ONE): Token {
  const digest = digestOfSecret(secret);
  let found: Token | undefined;
  // All of them, and each whole: how long it takes tells nothing.
  for (const token of view.tokens.values()) {
    if (sameDigest(token.secretDigest, digest)) found = token;
  }
  if (found === undefined) throw unauthorized(`the token is wrong or was revoked: ${advice}`);
  if (tokenState(found, now) === "expired") {
    throw unauthorized(`the token has expired: ${advice}`);
  }
  return found;
}

export function usedUp({ usesMax }: Token): OrchdError {
  const times = usesMax === 1 ? "the one machine" : `the ${usesMax} machines`;
  return unauthorized(`the token is used up, ${times} that it was made for joined: ${MAKE_ONE}`);
}

/** As a bearer's, or as the password of any user: programs for registries know no bearers. */
function tokenIn(authorization: string): string | undefined {
  const [, scheme = "", text = ""] = /^(\S+) +(\S+)\s*$/.exec(authorization) ?? [];
  if (/^Bearer$/i.test(scheme)) return text;
  if (!/^Basic$/i.test(scheme)) return undefined;
  const [, password] = /^[^:]*:(\S+)$/.exec(Buffer.from(text, "base64").toString()) ?? [];
  // Whoever guesses passwords is told the same as who has none.
  return password?.startsWith("ORCHD-") === true ? password : undefined;
}

function unauthorized(message: string): OrchdError {
  return new OrchdError("unauthorized", message);
}

function tokenNamed(view: View, id: TokenId): Token {
  const token = view.tokens.get(id);
  if (token !== undefined) return token;
  throw new OrchdError("notFound", "there is no such token: `orchd token ls` lists them");
}
