import { formatDuration } from "../../lib/text.ts";
import type { Node } from "../../model/node.ts";

/** How long a lost session counts as a gap where gossip says nothing of the node. */
export const SESSION_GAP_MS = 5000;
/** How long a node that is known may take to begin its session, or to be seen by gossip. */
export const HELLO_WITHIN_MS = 10_000;
/** How long a session that gossip contradicts has to answer a probe. */
export const PROBE_MS = 1000;
/** How long a server that hears none of its nodes any more takes itself for cut off. */
export const CUT_OFF_MS = 30_000;

export type MemberState = "alive" | "suspect" | "dead" | "left";

/** What gossip says of a node. Times are by a clock of this server that never jumps, in ms. */
export interface MemberNews {
  state: MemberState;
  /** When this was first said. */
  since: number;
  /** When gossip stopped calling it alive; as `since` while it does. */
  doubtedSince: number;
}

/** What the node's session says. Times are by a clock of this server that never jumps, in ms. */
export type SessionNews =
  /** `heardAt`: the last sign of life. */
  | { state: "connected"; since: number; heardAt: number }
  | { state: "lost"; since: number; heardAt: number }
  /** No session since this server started, or knew of the node. */
  | { state: "never"; since: number };

export interface HealthInput {
  /** Undefined where gossip knows nothing of the node, as without UDP. */
  member: MemberNews | undefined;
  session: SessionNews;
  /** Until when nothing gets worse: this server may just not have heard of the node yet. */
  graceUntil: number;
  /** What the store says now. */
  health: Node["health"];
  /** By the same clock. */
  now: number;
}

export interface HealthVerdict {
  health: Node["health"];
  /** For people, in words that follow "because": one sentence without its full stop. */
  reason: string;
  /** Look again at this time, by the same clock, if nothing is heard before. */
  wakeAt?: number;
}

/**
 * Whether the node is there, by gossip and its session together. Gossip is fast and may be wrong
 * about a node that UDP does not reach; a session is slow to end and never wrong while it is heard.
 */
export function nodeHealthOf(input: HealthInput): HealthVerdict {
  const verdict = verdictOf(input);
  const { graceUntil, health, now } = input;
  if (graceUntil <= now || RANK[verdict.health] <= RANK[health]) return verdict;
  const reason = "this server has not been up long enough to tell that it is gone";
  return { health, reason, wakeAt: graceUntil };
}

/**
 * The verdict as a server may act on it that hears none of its nodes any more: likelier its own
 * cable is out, or its switch restarts, than that all nodes are gone at once. If nothing is heard
 * for long they are gone, as far as anybody can tell.
 * @param silentSince when it came to hear nobody, by the same clock; undefined while it hears one
 */
export function unlessCutOff(
  verdict: HealthVerdict,
  silentSince: number | undefined,
  { health, now }: Pick<HealthInput, "health" | "now">,
): HealthVerdict {
  if (silentSince === undefined || verdict.health !== "down" || health === "down") return verdict;
  const wakeAt = silentSince + CUT_OFF_MS;
  if (wakeAt <= now) return verdict;
  const doubt = "but no other node is heard either, as if this server were cut off";
  return { health: "suspect", reason: `${verdict.reason}; ${doubt}`, wakeAt };
}

/**
 * The verdict of a node that was told to restart for another version of orchd: its containers run
 * on meanwhile, and nothing takes their place.
 */
export function unlessUpgrading(verdict: HealthVerdict, isUpgrading: boolean): HealthVerdict {
  if (!isUpgrading || verdict.health !== "down") return verdict;
  return { health: "suspect", reason: `${verdict.reason}; but it restarts for an upgrade` };
}

const RANK = { ready: 0, suspect: 1, down: 2 } as const;

function verdictOf(input: HealthInput): HealthVerdict {
  const { member, session, now } = input;
  if (member === undefined) return bySession(input);
  switch (member.state) {
    case "alive":
      return { health: "ready", reason: `gossip sees it${sessionText(session, now)}` };
    case "suspect":
      return whenSuspected(member, session, now);
    case "dead":
    case "left":
      return whenGone(member, input);
  }
}

/** Beside gossip, which calls the node alive. */
function sessionText(session: SessionNews, now: number): string {
  switch (session.state) {
    case "connected":
      return ", and its session is connected";
    case "lost":
      return `, but its session is lost for ${formatDuration(now - session.since)}`;
    case "never":
      return ", but it has had no session since this server started";
  }
}

function whenSuspected(member: MemberNews, session: SessionNews, now: number): HealthVerdict {
  if (isHeardSince(session, member.doubtedSince)) {
    return {
      health: "ready",
      reason: "its session answers, though gossip suspects that it is gone",
    };
  }
  const doubtedFor = formatDuration(now - member.doubtedSince);
  return { health: "suspect", reason: `gossip suspects for ${doubtedFor} that it is gone` };
}

function whenGone(member: MemberNews, input: HealthInput): HealthVerdict {
  const { session, now } = input;
  const said = member.state === "left" ? "it left gossip" : "gossip says that it is gone";
  if (session.state === "never" || session.heardAt < member.doubtedSince) {
    return { health: "down", reason: `${said}, and its session is silent` };
  }
  if (session.state === "lost") {
    const verdict = bySession(input);
    return { ...verdict, reason: `${said}, and ${verdict.reason}` };
  }
  if (session.heardAt >= member.since) {
    return { health: "ready", reason: `its session answers, though ${said}: is UDP blocked` };
  }
  // It was heard while gossip still doubted: it is asked once more.
  const answerBy = member.since + PROBE_MS;
  if (now < answerBy) {
    return { health: "ready", reason: `${said}; its session is asked`, wakeAt: answerBy };
  }
  return { health: "down", reason: `${said}, and its session does not answer` };
}

/** Where gossip says nothing, or is known to be wrong about the node. */
function bySession({ session, health, now }: HealthInput): HealthVerdict {
  switch (session.state) {
    case "connected":
      return { health: "ready", reason: "its session is connected" };
    case "never": {
      const reason = "nothing has been heard of it yet";
      const goneAt = session.since + HELLO_WITHIN_MS;
      return goneAt <= now ? { health: "down", reason } : { health, reason, wakeAt: goneAt };
    }
    case "lost": {
      const reason = `its session is lost for ${formatDuration(now - session.since)}`;
      const goneAt = session.since + SESSION_GAP_MS;
      if (goneAt <= now) return { health: "down", reason };
      return { health: "suspect", reason, wakeAt: goneAt };
    }
  }
}

function isHeardSince(session: SessionNews, at: number): boolean {
  return session.state === "connected" && session.heardAt > at;
}
