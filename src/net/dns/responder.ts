import type { Question, ZoneAnswer } from "../../core/network/zone.ts";
import { encodeEmpty, encodeFound, encodeRefusal, udpLimitOf } from "./answer.ts";
import type { ClientLimit } from "./client-limit.ts";
import type { Forwarder, Kept } from "./forwarder.ts";
import { readQuery, type Query } from "./query.ts";
import { fitReply } from "./reply.ts";
import type { Upstream } from "./upstream.ts";
import { FLAG, RCODE, TCP_BYTES_MAX } from "./wire.ts";

const TYPES = new Map([
  [1, "A"],
  [12, "PTR"],
  [28, "AAAA"],
  [33, "SRV"],
  [255, "ANY"],
]);

/** Who knows the cluster's own names. */
export interface Names {
  /** Whether somebody at this address is answered at all. */
  admits(asker: string): boolean;
  answer(question: Question, asker: string): ZoneAnswer;
}

export interface ResponderOptions {
  names: Names;
  forwarder: Pick<Forwarder, "lookUp">;
  limit: ClientLimit;
  /** Whom to ask what is not ours, for somebody at this address. */
  upstreamsOf: (asker: string) => readonly Upstream[];
  /** Milliseconds that only grow. */
  now: () => number;
}

export type Transport = "udp" | "tcp";

/** What is said to a packet: at once, later, or nothing. */
export type Response = Buffer | undefined | Promise<Buffer | undefined>;

/** From packets to answers, whichever way they come. */
export class Responder {
  readonly #options: ResponderOptions;

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** Takes a packet of anybody. A promise that it answers never rejects. */
  respond(packet: Buffer, asker: string, transport: Transport): Response {
    const { names, limit, now } = this.#options;
    if (!names.admits(asker) || !limit.takes(asker, now())) return undefined;
    const incoming = readQuery(packet);
    if (incoming === undefined) return undefined;
    if (incoming.kind === "refused") return encodeRefusal(incoming);
    const { query } = incoming;
    const bytesMax = transport === "tcp" ? TCP_BYTES_MAX : udpLimitOf(query);
    const type = TYPES.get(query.type) ?? "";
    const answer = names.answer({ name: query.name, type }, asker);
    if (answer.kind === "found") return encodeFound(query, answer, bytesMax);
    if (answer.kind === "absent") {
      return encodeEmpty(query, RCODE.noSuchName, FLAG.authoritative);
    }
    if (answer.kind === "later") return encodeEmpty(query, RCODE.serverFailure);
    return this.#forward(query, asker, bytesMax);
  }

  #forward(query: Query, asker: string, bytesMax: number): Response {
    const { forwarder, limit, upstreamsOf } = this.#options;
    const found = forwarder.lookUp(query, upstreamsOf(asker));
    if (!(found instanceof Promise)) return answerWith(query, found, bytesMax);
    if (!limit.beginWait(asker)) return encodeEmpty(query, RCODE.serverFailure);
    // The packet's memory may hold another one by then.
    const own = { ...query, question: Buffer.from(query.question) };
    return found.then((later) => {
      limit.endWait(asker);
      return answerWith(own, later, bytesMax);
    });
  }
}

function answerWith(query: Query, found: Kept | undefined, bytesMax: number): Buffer {
  if (found === undefined) return encodeEmpty(query, RCODE.serverFailure);
  return fitReply(found.reply, query, found.ageS, bytesMax);
}
