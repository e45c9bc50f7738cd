import type { Clock, Timer } from "../lib/clock.ts";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { equalJson } from "../lib/order.ts";
import { splitServerAddress } from "../model/server-address.ts";

const PROBES = 3;
const PROBE_TIMEOUT_MS = 1000;
const STREAM_TIMEOUT_MS = 5000;
/** Something that changed is looked at again soon, before anybody is told. */
const CONFIRM_MS = 30_000;
/** Firewalls change while everything runs. */
const AGAIN_MS = 300_000;

/** What came of a ping over TCP. */
export type TcpAnswer =
  | "answered"
  /** Nothing came back: a firewall drops, or the machine is off. */
  | "silent"
  /** The machine, or a firewall, says that nothing is there. */
  | "refused"
  /** Something is there that is no member of this cluster. */
  | "foreign";

/** What was found out about the way to one peer, while a session with its server is there. */
export interface GossipFacts {
  /** `ip:port` */
  peer: string;
  tcp: TcpAnswer;
  /** Pings over UDP, and how many of them came back. */
  probes: number;
  acks: number;
}

/** Which ports of gossip are blocked, each with how that was found out; empty when all is well. */
export function whatIsBlocked({ peer, tcp, probes, acks }: GossipFacts): string[] {
  const { host, port } = splitServerAddress(peer);
  const remedy = "let it through the firewalls of both machines and between them";
  const silence = `no answer to ${probes} probes`;
  const passes = acks > 0;
  if (tcp === "foreign") {
    return [
      `${port}/tcp at ${host} is answered by something that is no member of this cluster: see ` +
        "which program has the port there, and that its keys are those of `orchd keyring ls`",
    ];
  }
  if (tcp === "answered") {
    if (passes) return [];
    const known = `${silence}, while ${port}/tcp answers`;
    return [`${port}/udp to ${host} is blocked: ${known}; ${remedy}`];
  }
  const why = tcp === "refused" ? "connections are refused" : "no answer to a connection";
  if (passes) {
    return [`${port}/tcp to ${host} is blocked: ${why}, while ${port}/udp answers; ${remedy}`];
  }
  if (tcp === "refused") {
    return [
      `nothing takes gossip on port ${port} of ${host}: ${why} and there is ${silence} over UDP, ` +
        "while its server answers; see in its log whether another program has the port",
    ];
  }
  return [
    `${port}/tcp and ${port}/udp to ${host} are blocked: ${why} and ${silence}, while its server ` +
      `answers; ${remedy.replace("it", "both")}`,
  ];
}

/** How pings travel. */
export interface GossipPings {
  /** Whether an ack came in time. */
  packet(peer: string, timeoutMs: number): Promise<boolean>;
  /** @throws OrchdError `timedOut`, `unreachable`, `invalid` */
  stream(peer: string, timeoutMs: number): Promise<void>;
}

export interface ReachabilityOptions {
  pings: GossipPings;
  clock: Clock;
  log: Log;
  /** Whether a session with the server is there now: without one nothing can be told apart. */
  isConnected(): boolean;
  /** The sentences that are true from now on; none are at the beginning. */
  onChange(notes: string[]): void;
}

/** Finds out now and then whether gossip gets to the server's member, and tells what changed. */
export class Reachability {
  readonly #options: ReachabilityOptions;
  #notes: string[] = [];
  /** What the last look found, where that is not what was told. */
  #unconfirmed: string[] | undefined;
  #timer: Timer | undefined;
  #round = 0;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
  }

  /** Looks at the way to this peer, `ip:port`, at once and again, and to no other. */
  watch(peer: string): void {
    this.#timer?.cancel();
    void this.#look(peer, ++this.#round);
  }

  stop(): void {
    this.#round += 1;
    this.#timer?.cancel();
  }

  async #look(peer: string, round: number): Promise<void> {
    const facts = await findOut(this.#options.pings, peer);
    if (round !== this.#round) return;
    const isSure = this.#options.isConnected() && this.#take(whatIsBlocked(facts));
    this.#timer = this.#options.clock.after(isSure ? AGAIN_MS : CONFIRM_MS, () => {
      void this.#look(peer, round);
    });
  }

  /** Tells news once it was found twice; answers whether there is nothing left to confirm. */
  #take(found: string[]): boolean {
    const { log } = this.#options;
    const told = this.#notes;
    if (equalJson(found, told)) {
      this.#unconfirmed = undefined;
      return true;
    }
    if (!equalJson(found, this.#unconfirmed)) {
      this.#unconfirmed = found;
      return false;
    }
    this.#unconfirmed = undefined;
    this.#notes = found;
    for (const note of found) if (!told.includes(note)) log.warn(note);
    if (found.length === 0) log.info("gossip gets through to the server");
    this.#options.onChange(found);
    return true;
  }
}

async function findOut(pings: GossipPings, peer: string): Promise<GossipFacts> {
  const tcp = tcpAnswer(pings, peer);
  let acks = 0;
  let probes = 0;
  while (probes < PROBES && acks === 0) {
    probes += 1;
    if (await pings.packet(peer, PROBE_TIMEOUT_MS)) acks += 1;
  }
  return { peer, tcp: await tcp, probes, acks };
}

async function tcpAnswer(pings: GossipPings, peer: string): Promise<TcpAnswer> {
  try {
    await pings.stream(peer, STREAM_TIMEOUT_MS);
    return "answered";
  } catch (error) {
    if (!(error instanceof OrchdError)) throw error;
    if (error.code === "timedOut") return "silent";
    // Members tell a stranger nothing: they take the connection and end it.
    if (error.code === "invalid" || error.cause === undefined) return "foreign";
    // A firewall that rejects says "prohibited", which the system tells as no route to the host.
    const code = systemCodeOf(error.cause) ?? "";
    return /^(ECONNREFUSED|ECONNRESET|EHOSTUNREACH)$/.test(code) ? "refused" : "silent";
  }
}
