import type { Tuning } from "../../../src/core/gossip/tuning.ts";
import type { Message } from "../../../src/core/gossip/messages.ts";
import { GossipWorld, type SimulatedMember, type Slowness } from "./gossip-world.ts";

const SETTLE_MS = 2000;

export interface SlowOptions {
  seed: string;
  members: number;
  tuning: Tuning;
  /** How many are slow, and how: this long blocked, that long not, over and over. */
  slow: number;
  blockedMs: number;
  freeMs: number;
  durationMs: number;
  slowness: Slowness;
  /** How long a member takes for each packet of those that waited while it was blocked. */
  backlogMs?: number;
  /** Whether a suspect is told by who probes it (Lifeguard's buddy system). By default it is. */
  hasBuddies?: boolean;
}

export interface SlowResult {
  /** Failures said of members that are well, by anybody, and by members that are well. */
  falsePositives: number;
  atHealthy: number;
  packetsPerMemberSecond: number;
  bytesPerMemberSecond: number;
  streamBytesPerMemberSecond: number;
}

/** Some members are slow: how many are called dead for it (Lifeguard, interval experiment). */
export function measureSlow(options: SlowOptions): SlowResult {
  const slow = new Set<string>();
  let falsePositives = 0;
  let atHealthy = 0;
  const world = new GossipWorld({
    ...options,
    tamper: options.hasBuddies === false ? (_, messages) => withoutBuddies(messages) : undefined,
    onChange: ({ seer, node, after }) => {
      if (after?.state !== "dead" || slow.has(node)) return;
      falsePositives += 1;
      if (!slow.has(seer.name)) atHealthy += 1;
    },
  });
  world.run(SETTLE_MS);
  for (const member of world.members) {
    member.packets = member.packetBytes = member.streamBytes = 0;
  }
  const chosen = world.members.slice(0, options.slow);
  for (const member of chosen) slow.add(member.name);
  const endAt = world.now + options.durationMs;
  while (world.now < endAt) {
    for (const member of chosen) world.slow(member, options.slowness);
    world.run(Math.min(endAt, world.now + options.blockedMs));
    for (const member of chosen) world.free(member);
    world.run(Math.min(endAt, world.now + options.freeMs));
  }
  const per = (options.members * options.durationMs) / 1000;
  const sum = (of: (member: SimulatedMember) => number) =>
    world.members.reduce((total, member) => total + of(member), 0) / per;
  return {
    falsePositives,
    atHealthy,
    packetsPerMemberSecond: sum(({ packets }) => packets),
    bytesPerMemberSecond: sum(({ packetBytes }) => packetBytes),
    streamBytesPerMemberSecond: sum(({ streamBytes }) => streamBytes),
  };
}

/** A ping alone, without what it tells its target of itself. */
function withoutBuddies(messages: Message[]): Message[] {
  const [ping, suspect] = messages;
  if (messages.length !== 2 || ping?.type !== "ping" || suspect?.type !== "suspect") {
    return messages;
  }
  return ping.node === suspect.node ? [ping] : messages;
}
