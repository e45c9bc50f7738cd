import type { Effect, Input } from "../../../../src/core/gossip/exchange.ts";
import type { Member } from "../../../../src/core/gossip/member.ts";
import { Membership } from "../../../../src/core/gossip/membership.ts";
import type {
  Address,
  Alive,
  Message,
  PushedMember,
  Versions,
} from "../../../../src/core/gossip/messages.ts";
import { PRESETS, type Tuning } from "../../../../src/core/gossip/tuning.ts";
import { seededRandom } from "../../../../src/lib/random.ts";

const VERSIONS: Versions = [1, 5, 5, 2, 5, 5];

/** Where `m1`, `m2` and so on are. */
export function addressOf(name: string): Address {
  return { host: `10.0.0.${name.slice(1)}`, port: 7946 };
}

export function aMember(name: string, over: Partial<Member> = {}): Member {
  const address = addressOf(name);
  const meta = new Uint8Array();
  const whole = { node: name, address, meta, incarnation: 1, versions: VERSIONS, since: 0 };
  return { ...whole, state: "alive", ...over };
}

export function anAlive(name: string, over: Partial<Alive> = {}): Alive {
  const { node, address, meta, incarnation, versions } = aMember(name);
  return { type: "alive", node, address, meta, incarnation, versions, ...over };
}

export interface MachineOptions {
  /** How many members `m1`, the one under test, knows: itself and `m2` on. */
  members?: number;
  tuning?: Partial<Tuning>;
  preset?: keyof typeof PRESETS;
  seed?: string;
}

/** The member `m1` with a clock in the test's hand, and everything that it did. */
export class Machine {
  readonly membership: Membership;
  readonly done: { at: number; effect: Effect }[] = [];
  now = 0;

  constructor({ members = 5, tuning = {}, preset = "lan", seed = "1" }: MachineOptions = {}) {
    const known = Array.from({ length: members }, (_, i) => aMember(`m${i + 1}`));
    const config = {
      name: "m1",
      address: addressOf("m1"),
      meta: new Uint8Array(),
      versions: VERSIONS,
      tuning: { ...PRESETS[preset], ...tuning },
      random: seededRandom(seed),
      overheadBytes: 0,
    };
    this.membership = new Membership({ ...config, known, incarnation: 1 }, 0);
  }

  give(input: Input): Effect[] {
    const effects = this.membership.handle(input, this.now);
    for (const effect of effects) this.done.push({ at: this.now, effect });
    return effects;
  }

  /** A packet from a member arrives. */
  hear(from: string, ...messages: Message[]): Effect[] {
    return this.give({ type: "packet", from: addressOf(from), messages });
  }

  hearState(from: string, ...members: PushedMember[]): Effect[] {
    const state = { join: false, members, userState: new Uint8Array() };
    return this.give({ type: "pushPull", from: addressOf(from), state });
  }

  /**
   * Lets time pass with every timer, until `until` or until `isDone` says so.
   * @param respond gets each packet as it is sent, and may let others answer
   */
  run(until: number, respond?: (sent: Sent) => void): void {
    for (;;) {
      const at = this.membership.nextTimerAt();
      if (at === undefined || at > until) break;
      this.now = Math.max(this.now, at);
      for (const effect of this.give({ type: "tick" })) {
        if (effect.type === "sendPacket") respond?.(effect);
      }
    }
    this.now = until;
  }

  stateOf(name: string): string | undefined {
    return this.membership.member(name)?.state;
  }

  /** Messages sent since the start, with where to. */
  sent<T extends Message["type"]>(type: T): { to: string; message: Message & { type: T } }[] {
    return this.done.flatMap(({ effect }) =>
      effect.type === "sendPacket"
        ? effect.messages.flatMap((message) =>
            isOfType(message, type) ? [{ to: effect.to.host, message }] : [],
          )
        : [],
    );
  }

  effects<T extends Effect["type"]>(type: T): (Effect & { type: T })[] {
    return this.done.flatMap(({ effect }) => (isEffect(effect, type) ? [effect] : []));
  }
}

type Sent = Effect & { type: "sendPacket" };

/** Every other member answers each ping at once. */
export function everybodyAcks(machine: Machine, except: readonly string[] = []) {
  return ({ node, messages }: Sent): void => {
    for (const message of messages) {
      if (message.type !== "ping" || except.includes(message.node)) continue;
      machine.hear(node, ackOf(message.sequence));
    }
  };
}

export function ackOf(sequence: number): Message {
  return { type: "ack", sequence, payload: new Uint8Array() };
}

function isOfType<T extends Message["type"]>(
  message: Message,
  type: T,
): message is Message & { type: T } {
  return message.type === type;
}

function isEffect<T extends Effect["type"]>(
  effect: Effect,
  type: T,
): effect is Effect & { type: T } {
  return effect.type === type;
}
