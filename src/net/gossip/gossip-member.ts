import type { Effect, Ignored, Input } from "../../core/gossip/exchange.ts";
import type { Member } from "../../core/gossip/member.ts";
import { Membership } from "../../core/gossip/membership.ts";
import type { Address, Message, PushPull, Versions } from "../../core/gossip/messages.ts";
import { PRESETS, type Tuning } from "../../core/gossip/tuning.ts";
import { isLoopback } from "../../core/gossip/wire/address.ts";
import { encodeMessage } from "../../core/gossip/wire/message.ts";
import { SerfIntents } from "../../core/gossip/wire/serf-intents.ts";
import type { StreamMessage } from "../../core/gossip/wire/stream-message.ts";
import { encodeTags } from "../../core/gossip/wire/tags.ts";
import { assertNever } from "../../lib/assert.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { Keyring } from "./keyring.ts";
import { Notices } from "./notices.ts";
import { Probes } from "./probes.ts";
import { STREAM_LIMITS, type StreamLimits } from "./streams.ts";
import type { GossipTraffic } from "./traffic.ts";
import { openGossipTransport, type GossipTransport } from "./transport.ts";

/** Protocol 5 of memberlist, which takes 1 to 5; above it 5 of serf, which takes 2 to 5. */
const VERSIONS: Versions = [1, 5, 5, 2, 5, 5];
/** Longest wait for a farewell to be told often enough. */
const LEAVE_MAX_MS = 5000;
/** Rounds of gossip that the intent to leave is ahead of the leave itself. */
const INTENT_ROUNDS = 3;
/** To so many members a notice goes straight, since gossip takes a few rounds. */
const NOTIFIED_AT_ONCE = 64;

export type Tags = Readonly<Record<string, string>>;

export interface MemberChange {
  node: string;
  /** Missing for a member that is new. */
  before: Member | undefined;
  /** Missing for a member that is forgotten. */
  after: Member | undefined;
}

export interface GossipMemberOptions {
  /** Unique in the cluster; at most 253 bytes. */
  name: string;
  /** Facts that all members know of this one; together at most 512 bytes. */
  tags: Tags;
  /** Where it listens, UDP and TCP; port 0 for any that is free. */
  bind: Address;
  /** Where others reach it; `bind` when absent. Port 0 stands for the port that it listens on. */
  advertise?: Address;
  /** Encrypts everything. Rotate keys in it with `add`, `use` and `remove`. */
  keyring?: Keyring;
  /** Name of the cluster on the wire; real serf has none. */
  label?: string;
  /** Whether what gets shorter by it is compressed. */
  compress?: boolean;
  /** `PRESETS.orchd` when absent. */
  tuning?: Tuning;
  limits?: StreamLimits;
  clock: Clock;
  /** Monotonic time in ms; that of the host's `performance` when absent. */
  monotonicNow?: () => number;
  random: Random;
  log: Log;
  /** Members from before a restart, trusted as they are. */
  known?: Iterable<Member>;
  onChange(change: MemberChange): void;
  /** A member told all others something, as `notify` does; each notice comes once. */
  onNotice?(notice: Uint8Array): void;
  /** Somebody else says that it is this member, or two are another. */
  onConflict?(node: string, known: Address, other: Address): void;
}

/** One member of the cluster on the network. */
export interface GossipMember {
  readonly name: string;
  /** Where others reach it. */
  readonly advertised: Address;
  readonly traffic: GossipTraffic;
  /** What the membership did not take, by reason. */
  readonly ignored: ReadonlyMap<Ignored, number>;
  /**
   * Asks these members who is in the cluster; they are kept, and asked again while nobody else is
   * there.
   * @returns how many of them answered
   */
  join(addresses: readonly Address[]): Promise<number>;
  /** Everybody that is known, also who is dead or left; this member too. */
  members(): Iterable<Member>;
  member(name: string): Member | undefined;
  /** @throws OrchdError `tooLarge` when the tags take more than 512 bytes */
  updateTags(tags: Tags): void;
  /** Tells all where this member is reached from now on. */
  setAdvertise(address: Address): void;
  /**
   * Whether a ping over UDP comes back from the member in time, beside the membership's own.
   * @param node name of the member; empty for whoever is there
   */
  probe(address: Address, node: string, timeoutMs: number): Promise<boolean>;
  /**
   * The same over TCP, where a failure says more.
   * @throws OrchdError `timedOut`, `unreachable`, `invalid` when who answers is of no member's kind
   */
  probeStream(address: Address, node: string, timeoutMs: number): Promise<void>;
  /**
   * Tells all members something beside who is there: at once those of which there are not too many,
   * and the others by gossip.
   * @param only this member alone, which passes it on to nobody
   * @throws OrchdError `tooLarge` above 1024 bytes
   */
  notify(notice: Uint8Array, only?: string): void;
  /** Says farewell; resolves when the others had time to hear it. `close` is the caller's. */
  leave(): Promise<void>;
  close(): void;
}

/**
 * Starts a member: opens its port and begins to answer. It knows only itself until it joins or is
 * joined.
 * @throws OrchdError `conflict` when another program has the port, `tooLarge` for too many tags
 */
export async function startMember(options: GossipMemberOptions): Promise<GossipMember> {
  const meta = metaOf(options.tags);
  const { name, keyring, label, limits, clock } = options;
  const host = options.advertise?.host ?? options.bind.host;
  // What comes before the member is there is lost, as any packet may be.
  const started: { driver?: Driver } = {};
  const transport = await openGossipTransport({
    bind: options.bind,
    compress: options.compress ?? false,
    policy: { loopback: isLoopback(host) },
    clock,
    ...(keyring === undefined ? {} : { keyring }),
    ...(label === undefined ? {} : { label }),
    ...(limits === undefined ? {} : { limits }),
    onPacket: (messages, from) => started.driver?.receive(messages, from),
    onStream: (message, from) => started.driver?.answer(message, from),
  });
  const advertise = { host, port: options.advertise?.port || transport.port };
  started.driver = new Driver(options, transport, { name, address: advertise, meta });
  return started.driver;
}

function metaOf(tags: Tags): Uint8Array {
  const meta = encodeTags(tags);
  if (meta !== undefined) return meta;
  throw new OrchdError("tooLarge", "The facts of a member take more than 512 bytes: drop some.");
}

/** Carries out what the membership wants, and gives it what happens. */
class Driver implements GossipMember {
  readonly name: string;
  readonly ignored = new Map<Ignored, number>();
  readonly #options: GossipMemberOptions;
  readonly #transport: GossipTransport;
  readonly #membership: Membership;
  readonly #intents: SerfIntents;
  readonly #now: () => number;
  readonly #tuning: Tuning;
  /** Exchanges that a `join` waits for, by the membership's id. */
  readonly #joining = new Map<number, (answered: boolean) => void>();
  readonly #probes: Probes;
  readonly #notices = new Notices();
  #timer: { at: number; timer: Timer } | undefined;
  #onLeft: (() => void) | undefined;
  #isClosed = false;

  constructor(
    options: GossipMemberOptions,
    transport: GossipTransport,
    self: { name: string; address: Address; meta: Uint8Array },
  ) {
    this.name = self.name;
    this.#options = options;
    this.#transport = transport;
    this.#now = options.monotonicNow ?? (() => performance.now());
    this.#tuning = options.tuning ?? PRESETS.orchd;
    this.#intents = new SerfIntents(self.name);
    this.#probes = new Probes(options.clock, transport);
    const { overheadBytes } = transport;
    const { random, known } = options;
    this.#membership = new Membership(
      {
        ...self,
        versions: VERSIONS,
        tuning: this.#tuning,
        random,
        overheadBytes,
        ...(known === undefined ? {} : { known }),
      },
      this.#now(),
    );
    this.#setTimer();
  }

  get advertised(): Address {
    return this.#membership.self.address;
  }

  get traffic(): GossipTraffic {
    return this.#transport.traffic;
  }

  members(): Iterable<Member> {
    return this.#membership.members();
  }

  member(name: string): Member | undefined {
    return this.#membership.member(name);
  }

  async join(addresses: readonly Address[]): Promise<number> {
    const answers: Promise<boolean>[] = [];
    this.handle({ type: "join", addresses }, (id) => {
      answers.push(new Promise((resolve) => this.#joining.set(id, resolve)));
    });
    const answered = (await Promise.all(answers)).filter((answer) => answer).length;
    if (answered > 0) this.#tell(this.#intents.join());
    return answered;
  }

  updateTags(tags: Tags): void {
    this.handle({ type: "setMeta", meta: metaOf(tags) });
  }

  setAdvertise(address: Address): void {
    this.handle({ type: "setAddress", address });
  }

  probe(address: Address, node: string, timeoutMs: number): Promise<boolean> {
    return this.#probes.byPacket(address, node, timeoutMs);
  }

  probeStream(address: Address, node: string, timeoutMs: number): Promise<void> {
    return this.#probes.byStream(address, node, timeoutMs);
  }

  notify(notice: Uint8Array, only?: string): void {
    const payload = this.#notices.encode(notice, only === undefined ? "all" : "one");
    if (only === undefined) this.#tell(payload);
    const message = encodeMessage({ type: "user", payload });
    let left = NOTIFIED_AT_ONCE;
    for (const { node, state, address } of this.members()) {
      if (node === this.name || state !== "alive" || (only ?? node) !== node) continue;
      if (left-- === 0) return;
      this.#transport.send(address, [message]);
    }
  }

  async leave(): Promise<void> {
    const { clock } = this.#options;
    const wait = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));
    if (this.#hasCompany()) {
      // A serf that hears of the leave before the intent first takes it for a failure.
      this.#tell(this.#intents.leave());
      await wait(INTENT_ROUNDS * this.#tuning.gossipIntervalMs);
    }
    const left = new Promise<void>((resolve) => (this.#onLeft = resolve));
    this.handle({ type: "leave" });
    await Promise.race([left, wait(LEAVE_MAX_MS)]);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.timer.cancel();
    this.#transport.close();
    for (const settle of this.#joining.values()) settle(false);
    this.#probes.close();
  }

  receive(messages: Message[], from: Address): void {
    for (const message of messages)
      if (message.type === "ack") this.#probes.onAck(message.sequence);
    this.handle({ type: "packet", from, messages });
  }

  /** @param onPushPull told of each exchange that this input itself begins */
  handle(input: Input, onPushPull?: (id: number) => void): Effect[] {
    if (this.#isClosed) return [];
    const effects = this.#membership.handle(input, this.#now());
    for (const effect of effects) {
      if (effect.type === "pushPull") onPushPull?.(effect.id);
      this.#carryOut(effect);
    }
    this.#setTimer();
    return effects;
  }

  answer(message: StreamMessage, from: Address): StreamMessage | undefined {
    switch (message.type) {
      case "pushPull":
        return this.#answerPushPull(message.state, from);
      case "ping": {
        const isForUs = message.node === "" || message.node === this.name;
        const { sequence } = message;
        return isForUs ? { type: "ack", sequence, payload: new Uint8Array() } : undefined;
      }
      case "user":
        this.handle({ type: "packet", from, messages: [message] });
        return undefined;
      case "ack":
      case "error":
        this.traffic.countRefused("misplaced");
        return undefined;
      default:
        return assertNever(message);
    }
  }

  #answerPushPull(state: PushPull, from: Address): StreamMessage | undefined {
    const effects = this.handle({ type: "pushPull", from, state });
    const answer = effects.find((effect) => effect.type === "answerPushPull");
    return answer === undefined ? undefined : this.#pushPull(answer.state);
  }

  #carryOut(effect: Effect): void {
    const options = this.#options;
    switch (effect.type) {
      case "sendPacket":
        return this.#transport.send(effect.to, effect.messages.map(encodeMessage));
      case "pushPull":
        return void this.#exchange(effect.id, effect.to, effect.state);
      case "answerPushPull":
        // Whoever handles the stream picks it out.
        return;
      case "streamPing":
        return void this.#pingByStream(effect.to, effect.ping, effect.deadlineAt);
      case "changed":
        return options.onChange(effect);
      case "user":
        return this.#hear(effect.payload);
      case "userState":
        for (const news of this.#intents.merge(effect.payload)) this.#tell(news);
        return;
      case "conflict":
        options.log.warn(`two nodes call themselves ${effect.node}: ${conflictText(effect)}`);
        return options.onConflict?.(effect.node, effect.known, effect.other);
      case "left":
        return this.#onLeft?.();
      case "ignored":
        this.ignored.set(effect.why, (this.ignored.get(effect.why) ?? 0) + 1);
        return;
      default:
        return assertNever(effect);
    }
  }

  /** What is new is passed on. */
  #hear(payload: Uint8Array): void {
    const heard = this.#notices.receive(payload);
    if (heard === undefined) return this.#tell(this.#intents.receive(payload));
    if (heard.isForAll) this.#tell(payload);
    this.#options.onNotice?.(heard.notice);
  }

  /** Tells all members, beside the membership's own messages. */
  #tell(payload: Uint8Array | undefined): void {
    if (payload !== undefined) this.handle({ type: "broadcast", payload });
  }

  async #exchange(id: number, to: Address, state: PushPull): Promise<void> {
    const { limits, log } = this.#options;
    const { streamTimeoutMs } = limits ?? STREAM_LIMITS;
    let hasAnswered = false;
    try {
      const answer = await this.#transport.exchange(to, this.#pushPull(state), streamTimeoutMs);
      hasAnswered = answer.type === "pushPull";
      if (answer.type === "pushPull") {
        this.handle({ type: "pushPullAnswer", id, state: answer.state });
      }
    } catch (error) {
      log.info(`gossip: ${messageChainOf(error)}`);
    }
    if (!hasAnswered) this.handle({ type: "streamFailed", id });
    this.#joining.get(id)?.(hasAnswered);
    this.#joining.delete(id);
  }

  async #pingByStream(to: Address, ping: Message & { type: "ping" }, deadlineAt: number) {
    const timeoutMs = Math.max(0, deadlineAt - this.#now());
    try {
      const answer = await this.#transport.exchange(to, ping, timeoutMs);
      if (answer.type !== "ack") return;
      this.handle({ type: "streamAck", sequence: answer.sequence });
    } catch {
      // No answer is what the ping was to find out; the membership waits for none any longer.
    }
  }

  /** With serf's state as it is at this moment. */
  #pushPull(state: PushPull): StreamMessage {
    const members = state.members.map(({ node, state: now }) => ({
      node,
      hasLeft: now === "left",
    }));
    const userState = this.#intents.state(members);
    return { type: "pushPull", state: { ...state, userState }, refused: [] };
  }

  #hasCompany(): boolean {
    return this.#membership.liveCount > 1;
  }

  #setTimer(): void {
    const at = this.#membership.nextTimerAt();
    if (at === this.#timer?.at) return;
    this.#timer?.timer.cancel();
    if (at === undefined) {
      this.#timer = undefined;
      return;
    }
    // Timers count whole milliseconds: cut off, one would ring too early and then once more.
    const delayMs = Math.ceil(Math.max(0, at - this.#now()));
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.handle({ type: "tick" });
    });
    this.#timer = { at, timer };
  }
}

function conflictText({ known, other }: { known: Address; other: Address }): string {
  return `${known.host}:${known.port} and ${other.host}:${other.port}; give one another name`;
}
