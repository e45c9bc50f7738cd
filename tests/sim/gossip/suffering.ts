import { isLive } from "../../../src/core/gossip/member.ts";
import type { MemberState } from "../../../src/core/gossip/messages.ts";
import { PRESETS, type Tuning } from "../../../src/core/gossip/tuning.ts";
import { seededRandom, type Random } from "../../../src/lib/random.ts";
import { between, happens, oneOf } from "../chance.ts";
import type { GossipBug } from "./gossip-bugs.ts";
import {
  GossipWorld,
  type SeenChange,
  type SimulatedMember,
  type Slowness,
} from "./gossip-world.ts";

const SLOWNESSES: readonly Slowness[] = ["blocked", "unaware", "paused"];
/** A message about one incarnation goes only this way. */
const RANKS: Record<MemberState, number> = { alive: 0, suspect: 1, dead: 2, left: 2 };
/** Beyond the longest suspicion and the time gossip takes: two full exchanges (invariant G4). */
const HEAL_MAX_MS = 60_000;
const CHECK_EVERY_MS = 1000;

export type GossipInvariant = "G1" | "G2" | "G3" | "G4" | "G5";

export interface SufferingResult {
  /** The first invariant that was broken, and how. */
  broken: { invariant: GossipInvariant; text: string } | undefined;
  hash: string;
  /** Virtual time from the end of the faults until all agreed. */
  healedAfterMs: number;
  /** What happened, by kind. */
  deeds: ReadonlyMap<string, number>;
}

/** A drawn cluster to which everything happens for a while, then nothing more. */
export function runSuffering(seed: string, bug?: GossipBug): SufferingResult {
  return new Suffering(seed, bug).run();
}

class Suffering {
  readonly #random: Random;
  readonly #world: GossipWorld;
  readonly #tuning: Tuning;
  /** The highest incarnation that each member ever took itself. */
  readonly #taken = new Map<string, number>();
  readonly #deeds = new Map<string, number>();
  #broken: SufferingResult["broken"];

  constructor(seed: string, bug: GossipBug | undefined) {
    this.#random = seededRandom(seed).split("suffering");
    this.#tuning = happens(this.#random, 0.7) ? PRESETS.orchd : rejoining(PRESETS.lan);
    this.#world = new GossipWorld({
      seed,
      members: between(this.#random, 3, 20),
      tuning: this.#tuning,
      delayMs: [0.2, oneOf(this.#random, [1, 20, 80])],
      loss: oneOf(this.#random, [0, 0, 0.02, 0.1]),
      isFormed: happens(this.#random, 0.5),
      tamper: bug && ((from, messages) => bug.tamper(from, messages)),
      onChange: (change) => this.#check(change),
    });
  }

  run(): SufferingResult {
    const world = this.#world;
    const endAt = between(this.#random, 20, 90) * 1000;
    while (world.now < endAt && this.#broken === undefined) {
      world.run(world.now + between(this.#random, 0, 4000));
      this.#noteIncarnations();
      this.#act();
    }
    this.#relieve();
    const healedAfterMs = this.#heal();
    this.#checkPackets();
    return { broken: this.#broken, hash: world.hash, healedAfterMs, deeds: this.#deeds };
  }

  #act(): void {
    const world = this.#world;
    const live = world.live();
    const member = oneOf(this.#random, world.members);
    const roll = between(this.#random, 0, 9);
    if (roll < 2 && member.isUp && live.length > 2) this.#do("crash", () => world.kill(member));
    else if (roll < 4 && !member.isUp) this.#do("restart", () => world.restart(member));
    else if (roll < 6) this.#slow(member);
    else if (roll === 6) this.#part();
    else if (roll === 7) {
      const meta = Uint8Array.of(between(this.#random, 0, 255));
      this.#do("meta", () => world.give(member, { type: "setMeta", meta }));
    } else if (roll === 8 && live.length > 3 && member.slowness === undefined) {
      this.#do("leave", () => world.give(member, { type: "leave" }));
    }
  }

  #slow(member: SimulatedMember): void {
    const slowness = oneOf(this.#random, SLOWNESSES);
    const forMs = between(this.#random, 100, 20_000);
    this.#do(slowness, () => {
      this.#world.slow(member, slowness);
      this.#world.at(this.#world.now + forMs, () => this.#world.free(member));
    });
  }

  /** The network falls in two for a while. */
  #part(): void {
    const world = this.#world;
    this.#do("partition", () => {
      for (const member of world.members) member.side = between(this.#random, 0, 1);
      world.at(world.now + between(this.#random, 1000, 40_000), () => this.#join());
    });
  }

  #join(): void {
    for (const member of this.#world.members) member.side = 0;
  }

  #do(deed: string, run: () => void): void {
    this.#deeds.set(deed, (this.#deeds.get(deed) ?? 0) + 1);
    run();
    this.#noteIncarnations();
  }

  #relieve(): void {
    this.#join();
    for (const member of this.#world.members) this.#world.free(member);
  }

  /** Nothing fails any more: how long until everybody sees everybody as they are. */
  #heal(): number {
    const world = this.#world;
    const begin = world.now;
    for (;;) {
      const trouble = this.#trouble();
      if (this.#broken !== undefined || trouble === undefined) return world.now - begin;
      if (world.now - begin >= HEAL_MAX_MS) {
        this.#break(trouble.invariant, trouble.text);
        return world.now - begin;
      }
      world.run(world.now + CHECK_EVERY_MS);
      this.#noteIncarnations();
    }
  }

  /** Who is not yet seen as what it is. */
  #trouble(): SufferingResult["broken"] {
    const live = this.#world.live();
    for (const seer of live) {
      for (const other of this.#world.members) {
        const seen = seer.membership.member(other.name);
        const says = `${seer.name} says ${other.name} is ${seen?.state ?? "unknown"}`;
        if (!other.isUp && seen !== undefined && isLive(seen)) {
          return { invariant: "G2", text: says };
        }
        if (!other.isUp) continue;
        if (seen === undefined || seen.state !== "alive") return { invariant: "G3", text: says };
        const { self } = other.membership;
        const isSame = seen.incarnation === self.incarnation && sameBytes(seen.meta, self.meta);
        if (!isSame) return { invariant: "G4", text: `${says} with old facts` };
      }
    }
    return undefined;
  }

  #check({ seer, node, before, after }: SeenChange): void {
    if (after === undefined || seer.name === node) return;
    const says = `${seer.name} on ${node}`;
    if (before !== undefined && after.incarnation === before.incarnation) {
      if (RANKS[after.state] < RANKS[before.state]) {
        this.#break("G1", `${says}: ${before.state} became ${after.state}`);
      }
    }
    if (before !== undefined && after.incarnation < before.incarnation) {
      this.#break("G1", `${says}: incarnation ${before.incarnation} became ${after.incarnation}`);
    }
    this.#noteIncarnations(node);
    const taken = this.#taken.get(node) ?? 0;
    if (after.incarnation > taken) {
      this.#break("G1", `${says}: incarnation ${after.incarnation}, its own was ${taken}`);
    }
  }

  #checkPackets(): void {
    for (const { name, packetBytesMax } of this.#world.members) {
      if (packetBytesMax > this.#tuning.packetBytesMax) {
        this.#break("G5", `${name} sent a packet of ${packetBytesMax} bytes`);
      }
    }
  }

  #noteIncarnations(name?: string): void {
    for (const member of this.#world.members) {
      if (name !== undefined && member.name !== name) continue;
      const { incarnation } = member.membership.self;
      this.#taken.set(member.name, Math.max(this.#taken.get(member.name) ?? 0, incarnation));
    }
  }

  #break(invariant: GossipInvariant, text: string): void {
    this.#broken ??= { invariant, text };
  }
}

/** memberlist leaves it to what is above it to look for members that were lost; so do we then. */
function rejoining(tuning: Tuning): Tuning {
  const { reapAfterMs, reconnectIntervalMs } = PRESETS.orchd;
  return { ...tuning, reapAfterMs, reconnectIntervalMs };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
