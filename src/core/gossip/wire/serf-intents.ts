import {
  decodeIntent,
  encodeIntent,
  encodeSerfState,
  decodeSerfState,
  type Intent,
} from "./serf.ts";

/** Intents that are remembered; the oldest is forgotten first. */
const REMEMBERED_MAX = 8192;

/**
 * orchd's part in serf's intents: it passes on those of others, tells its own, and contradicts a
 * leave that somebody else says of it. So a serf sees an orchd node that leaves as one that left,
 * and serfs hear of each other through orchd nodes (hashicorp/serf, serf.go).
 */
export class SerfIntents {
  private readonly self: string;
  /** Lamport clock: one more than the latest time that was seen. */
  private time = 1;
  /** The last intent about each member, the one that changed last at the end. */
  private readonly latest = new Map<string, Intent>();

  constructor(self: string) {
    this.self = self;
  }

  /** What to tell all after having joined. */
  join(): Uint8Array {
    return this.own("join");
  }

  /** What to tell all before leaving. */
  leave(): Uint8Array {
    return this.own("leave");
  }

  /** @returns what to tell all because of it: the same again, a contradiction, or nothing */
  receive(payload: Uint8Array): Uint8Array | undefined {
    const intent = decodeIntent(payload);
    if (intent === undefined) return undefined;
    this.witness(intent.time);
    return this.take(intent);
  }

  /** The user state of a push/pull, about the members that the membership has. */
  state(members: Iterable<{ node: string; hasLeft: boolean }>): Uint8Array {
    const statusTimes = new Map<string, number>();
    const left: string[] = [];
    for (const { node, hasLeft } of members) {
      const intent = this.latest.get(node);
      if (intent === undefined) continue;
      statusTimes.set(node, intent.time);
      if (hasLeft && intent.kind === "leave") left.push(node);
    }
    return encodeSerfState({ time: this.time, statusTimes, left });
  }

  /** @returns what to tell all because of a push/pull's user state */
  merge(userState: Uint8Array): Uint8Array[] {
    const state = decodeSerfState(userState);
    if (state === undefined) return [];
    this.witness(state.time - 1);
    const left = new Set(state.left);
    return [...state.statusTimes].flatMap(([node, time]) => {
      // The time of a leave itself is not told; it came after that of the join.
      const intent: Intent = left.has(node)
        ? { kind: "leave", time: time + 1, node }
        : { kind: "join", time, node };
      const answer = this.take(intent);
      // What comes in a push/pull others get in theirs; only a contradiction is news.
      return answer !== undefined && node === this.self ? [answer] : [];
    });
  }

  private own(kind: Intent["kind"]): Uint8Array {
    const intent: Intent = { kind, time: this.time, node: this.self };
    this.witness(intent.time);
    this.remember(intent);
    return encodeIntent(intent);
  }

  private take(intent: Intent): Uint8Array | undefined {
    const known = this.latest.get(intent.node);
    if (known !== undefined && intent.time <= known.time) return undefined;
    if (intent.node === this.self) {
      const contradicts = intent.kind === "leave" && known?.kind !== "leave";
      return contradicts ? this.join() : undefined;
    }
    this.remember(intent);
    return encodeIntent(intent);
  }

  private witness(time: number): void {
    if (time >= this.time) this.time = time + 1;
  }

  private remember(intent: Intent): void {
    this.latest.delete(intent.node);
    this.latest.set(intent.node, intent);
    const [oldest] = this.latest.keys();
    if (this.latest.size > REMEMBERED_MAX && oldest !== undefined) this.latest.delete(oldest);
  }
}
