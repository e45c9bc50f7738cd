import type { Clock, Timer } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Happening } from "../model/event.ts";
import type { NodeFacts } from "../model/node.ts";
import { type AgentSession, SESSION_END } from "../model/session.ts";
import { SUCCESSORS_MAX } from "../model/successor.ts";
import type { TaskStatus } from "../model/task.ts";
import { answerCall } from "./answer-call.ts";
import { AssignmentReceiver } from "./assignment-receiver.ts";
import { Connection, lost } from "./connection.ts";
import {
  type AssignmentsFrame,
  type DownFrame,
  downFrameSchema,
  type NetworkFrame,
  PROTOCOL,
  TEXT_DOWN_MAX,
  type UpFrame,
  type Welcome,
  type WelcomeFrame,
} from "./frames.ts";
import type { Link } from "./link.ts";
import { NetworkReceiver } from "./network-receiver.ts";

/** A frame of statuses is filled up to this, so that it arrives soon over a slow link as well. */
const BATCH_CHARACTERS = 64 * 1024;
/** Statuses that are not acknowledged within this are a reason to ask for a sign of life. */
const ACK_WITHIN_MS = 2000;
const PROBE_MS = 2000;
/** A server that took the connection answers well within this. */
const WELCOME_WITHIN_MS = 15_000;
/** Frames beyond the first ones of the protocol. */
const TAKES = ["network"];

export interface AgentEndOptions {
  link: Link;
  clock: Clock;
  log: Log;
  agent: AgentSession;
  instance: string;
  facts: NodeFacts;
  /** The session begins; its first set comes after this. */
  onWelcome(welcome: Welcome): void;
  /** What the welcome told has changed, such as the gossip keys. */
  onNews(welcome: Welcome): void;
  onHeartbeat(): void;
  onEnd(code: number, reason: string): void;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: OrchdError): void;
}

/** The agent's end of one session: lasts from hello until the connection ends, and no longer. */
export class AgentEnd {
  readonly #options: AgentEndOptions;
  readonly #connection: Connection<DownFrame, UpFrame>;
  readonly #sets = new AssignmentReceiver();
  readonly #network = new NetworkReceiver();
  readonly #unacked = new Map<number, Waiting<void>>();
  readonly #times = new Map<number, Waiting<number>>();
  readonly #welcomeTimer: Timer;
  #sequence = 0;
  #isWelcome = false;

  constructor(options: AgentEndOptions) {
    const { link, clock, instance, facts } = options;
    this.#options = options;
    this.#connection = new Connection({
      link,
      clock,
      schema: downFrameSchema,
      charactersMax: TEXT_DOWN_MAX,
      pings: true,
      onFrame: (frame) => this.#onFrame(frame),
      onHeartbeat: () => options.onHeartbeat(),
      onEnd: (code, reason) => this.#onEnd(code, reason),
    });
    const successors = options.agent.successors().slice(0, SUCCESSORS_MAX);
    const generation = options.agent.generation();
    const who = {
      protocol: PROTOCOL,
      instance,
      facts,
      ...(generation !== undefined && { generation }),
    };
    this.#connection.send({ type: "hello", ...who, successors, takes: TAKES });
    this.#welcomeTimer = clock.after(WELCOME_WITHIN_MS, () => {
      this.end(SESSION_END.silent, "the server did not answer the hello");
    });
  }

  /**
   * Resolves once the server holds the statuses on its disk.
   * @throws OrchdError `unreachable` (retryable) when the session ends before that
   */
  async report(statuses: readonly TaskStatus[]): Promise<void> {
    await Promise.all(batchesOf(statuses).map((batch) => this.#reportBatch(batch)));
  }

  /** Tells what happened, if the session is still there. */
  happened(happenings: readonly Happening[]): void {
    this.#connection.send({ type: "happened", happenings: [...happenings] });
  }

  /** The server's clock, in milliseconds since 1970. */
  serverTime(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (!this.#connection.isOpen) return reject(lost());
      const id = this.#sequence++;
      this.#times.set(id, { resolve, reject });
      this.#connection.send({ type: "time", id });
    });
  }

  end(code: number, reason: string): void {
    this.#connection.end(code, reason);
  }

  #reportBatch(statuses: TaskStatus[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#connection.isOpen) return reject(lost());
      const sequence = this.#sequence++;
      this.#unacked.set(sequence, { resolve, reject });
      this.#connection.send({ type: "statuses", sequence, statuses });
      this.#options.clock.after(ACK_WITHIN_MS, () => void this.#doubt(sequence));
    });
  }

  /**
   * A server whose disk is slow acknowledges late, and one behind a link that was cut never: it is
   * asked for a sign of life, so that a node does not wait for it with what it could do alone.
   */
  async #doubt(sequence: number): Promise<void> {
    if (!this.#unacked.has(sequence) || (await this.#connection.probe(PROBE_MS))) return;
    this.end(SESSION_END.silent, "the server does not answer");
  }

  #onFrame(frame: DownFrame): void {
    if (frame.type === "welcome") return this.#onWelcome(frame);
    if (!this.#isWelcome) throw new OrchdError("invalid", "the server did not say welcome first");
    switch (frame.type) {
      case "assignments":
        return this.#onAssignments(frame);
      case "network":
        return this.#onNetwork(frame);
      case "ack":
        take(this.#unacked, frame.sequence)?.resolve();
        return;
      case "nack": {
        const error = new OrchdError("unreachable", frame.message, { retryable: true });
        take(this.#unacked, frame.sequence)?.reject(error);
        return;
      }
      case "time":
        take(this.#times, frame.id)?.resolve(frame.serverTime);
        return;
      case "open":
        return this.#onOpen(frame.stream, frame.call);
      case "cancel":
        return this.#connection.cancelled(frame.stream);
      case "grant":
        return this.#connection.granted(frame.stream, frame.bytes);
    }
  }

  #onWelcome({ type: _type, protocol, ...welcome }: WelcomeFrame): void {
    if (protocol !== PROTOCOL) {
      const message = `the server speaks protocol ${protocol}, this agent ${PROTOCOL}`;
      return this.end(SESSION_END.version, message);
    }
    if (this.#isWelcome) return this.#options.onNews(welcome);
    this.#isWelcome = true;
    this.#welcomeTimer.cancel();
    this.#options.onWelcome(welcome);
  }

  #onAssignments(frame: AssignmentsFrame): void {
    const taken = this.#sets.take(frame);
    if (taken === "more") return;
    if (taken === "unknownBase") return this.#askForWhole("assignments");
    this.#options.agent.assign(taken);
  }

  #onNetwork(frame: NetworkFrame): void {
    const taken = this.#network.take(frame);
    if (taken === "more") return;
    if (taken === "unknownBase") return this.#askForWhole("network");
    this.#options.agent.network({ since: () => taken });
  }

  #askForWhole(of: "assignments" | "network"): void {
    this.#connection.send({ type: "whole", of });
  }

  #onOpen(id: number, call: unknown): void {
    const { agent, clock } = this.#options;
    const stream = this.#connection.adoptStream(id);
    void answerCall(agent, call, stream, clock);
  }

  #onEnd(code: number, reason: string): void {
    this.#welcomeTimer.cancel();
    for (const waiting of this.#unacked.values()) waiting.reject(lost());
    for (const waiting of this.#times.values()) waiting.reject(lost());
    this.#unacked.clear();
    this.#times.clear();
    this.#options.onEnd(code, reason);
  }
}

function take<T>(waiting: Map<number, Waiting<T>>, id: number): Waiting<T> | undefined {
  const found = waiting.get(id);
  waiting.delete(id);
  return found;
}

function batchesOf(statuses: readonly TaskStatus[]): TaskStatus[][] {
  const batches: TaskStatus[][] = [];
  let characters = Infinity;
  for (const status of statuses) {
    const length = JSON.stringify(status).length;
    characters += length;
    if (characters > BATCH_CHARACTERS) {
      batches.push([]);
      characters = length;
    }
    batches.at(-1)?.push(status);
  }
  return batches;
}
