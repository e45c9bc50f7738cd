import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { messageOf, OrchdError } from "../lib/errors.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { Happening } from "../model/event.ts";
import type { NodeId, TaskId } from "../model/ids.ts";
import type { NetworkSource } from "../model/network-change.ts";
import { type ContentRef, contentRefSchema } from "../model/item.ts";
import type { NodeFacts } from "../model/node.ts";
import {
  type AgentSession,
  type ByteStream,
  type ExecOptions,
  type ExecSession,
  type ImageSummary,
  imageSummarySchema,
  type LogLine,
  type LogOptions,
} from "../model/session.ts";
import type { Successor } from "../model/successor.ts";
import type { TaskStatus } from "../model/task.ts";
import type { UpgradeOrder } from "../model/upgrade.ts";
import { type NodeUsage, nodeUsageSchema } from "../model/usage.ts";
import { AssignmentSender } from "./assignment-sender.ts";
import { Connection } from "./connection.ts";
import {
  type Call,
  type DownFrame,
  TEXT_UP_MAX,
  type UpFrame,
  upFrameSchema,
  type WelcomeFrame,
} from "./frames.ts";
import type { Link } from "./link.ts";
import { NetworkSender } from "./network-sender.ts";
import { readHeld, readLogs, readResult, startExec, startForward, upload } from "./remote-calls.ts";
import { RemoteVolumes } from "./remote-volumes.ts";
import type { SessionStream } from "./session-stream.ts";

/** An agent has one batch on its way; so many waiting ones are no agent's. */
const REPORTS_MAX = 64;

const imagesSchema = z.array(imageSummarySchema);
const referencesSchema = z.array(z.string().max(4096));
const nothingSchema = z.null();
const refsSchema = z.array(contentRefSchema);

export interface Hello {
  protocol: number;
  instance: string;
  facts: NodeFacts;
  successors: readonly Successor[];
  generation?: number | undefined;
  takes: readonly string[];
}

export interface RemoteAgentOptions {
  nodeId: NodeId;
  link: Link;
  clock: Clock;
  /** The agent's first frame. */
  onHello(hello: Hello): void;
  /** Resolves once the statuses are on disk. */
  report(statuses: TaskStatus[]): Promise<void>;
  happened(happenings: readonly Happening[]): void;
  onEnd(code: number, reason: string): void;
}

/** The agent of another machine, as this server sees it: every call travels over its session. */
export class RemoteAgent implements AgentSession {
  readonly nodeId: NodeId;
  readonly #options: RemoteAgentOptions;
  readonly #connection: Connection<UpFrame, DownFrame>;
  readonly #sets = new AssignmentSender();
  readonly volumes = new RemoteVolumes((call) => this.#open(call));
  readonly #network = new NetworkSender();
  #hello: Hello | undefined;
  #isWelcome = false;
  #reports = Promise.resolve();
  #waitingReports = 0;

  constructor(options: RemoteAgentOptions) {
    const { nodeId, link, clock } = options;
    this.nodeId = nodeId;
    this.#options = options;
    this.#connection = new Connection({
      link,
      clock,
      schema: upFrameSchema,
      charactersMax: TEXT_UP_MAX,
      pings: false,
      onFrame: (frame) => this.#onFrame(frame),
      nextBulk: () => (this.#isWelcome ? (this.#sets.next() ?? this.#network.next()) : undefined),
      onEnd: (code, reason) => options.onEnd(code, reason),
    });
  }

  /** Which life of which agent process this is; undefined before it said hello. */
  get instance(): string | undefined {
    return this.#hello?.instance;
  }

  /** Whether the session has begun. */
  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  successors(): readonly Successor[] {
    return this.#hello?.successors ?? [];
  }

  generation(): number | undefined {
    return this.#hello?.generation;
  }

  held(): Promise<Assignment[]> {
    return this.#during({ method: "held" }, readHeld);
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** The first frame to the agent, before anything else; later it tells what has changed. */
  welcome(frame: WelcomeFrame): void {
    this.#connection.send(frame);
    this.#isWelcome = true;
    this.#connection.pump();
  }

  /** Never waits: the newest set takes the place of one that the agent has not read yet. */
  assign(set: AssignmentSet): void {
    this.#sets.offer(set);
    this.#connection.pump();
  }

  /** As `assign`. An agent from before there were maps gets none. */
  network(source: NetworkSource): void {
    if (this.#hello?.takes.includes("network") !== true) return;
    this.#network.offer(source);
    this.#connection.pump();
  }

  /** Whether the agent gives a sign of life within `timeoutMs`. */
  probe(timeoutMs: number): Promise<boolean> {
    return this.#connection.probe(timeoutMs);
  }

  /**
   * Ends the session once the agent has its last set, or has not read it within `withinMs`. Nothing
   * that it says meanwhile counts.
   */
  dismiss(set: AssignmentSet, code: number, reason: string, withinMs: number): void {
    this.#sets.offer(set);
    this.#connection.leave(code, reason, withinMs);
  }

  close(code: number, reason: string): void {
    this.#connection.end(code, reason);
  }

  async *logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    if (signal.aborted) return;
    yield* readLogs(this.#open({ method: "logs", taskId, options }), signal);
  }

  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession> {
    return this.#during({ method: "exec", taskId, options }, startExec);
  }

  forward(taskId: TaskId, port: number): Promise<ByteStream> {
    return this.#during({ method: "forward", taskId, port }, startForward);
  }

  images(): Promise<ImageSummary[]> {
    return this.#during({ method: "images" }, (stream) => readResult(stream, imagesSchema));
  }

  fetchImages(references: readonly string[]): Promise<string[]> {
    const call: Call = { method: "fetchImages", references: [...references] };
    return this.#during(call, (stream) => readResult(stream, referencesSchema));
  }

  pruneImages(keep: readonly string[]): Promise<string[]> {
    const call: Call = { method: "pruneImages", keep: [...keep] };
    return this.#during(call, (stream) => readResult(stream, referencesSchema));
  }

  async removeVolumes(names: readonly string[]): Promise<void> {
    const call: Call = { method: "removeVolumes", names: [...names] };
    await this.#during(call, (stream) => readResult(stream, nothingSchema));
  }

  lackedContents(refs: readonly ContentRef[]): Promise<ContentRef[]> {
    const call: Call = { method: "lackedContents", refs: [...refs] };
    return this.#during(call, (stream) => readResult(stream, refsSchema));
  }

  async takeContent(ref: ContentRef, bytes: Uint8Array | undefined): Promise<void> {
    const call: Call = { method: "takeContent", ref, isGone: bytes === undefined };
    await this.#during(call, async (stream) => {
      const answer = readResult(stream, nothingSchema);
      const sent = bytes === undefined ? undefined : upload(stream, new Blob([bytes]).stream());
      await Promise.all([answer, sent]);
    });
  }

  async upgrade(order: UpgradeOrder): Promise<void> {
    const call: Call = { method: "upgrade", order };
    await this.#during(call, (stream) => readResult(stream, nothingSchema));
  }

  usage(taskIds: readonly TaskId[]): Promise<NodeUsage> {
    const call: Call = { method: "usage", taskIds: [...taskIds] };
    return this.#during(call, (stream) => readResult(stream, nodeUsageSchema));
  }

  /** Runs a call to its answer, or to its start; one that fails is given up on both sides. */
  async #during<T>(call: Call, run: (stream: SessionStream) => Promise<T>): Promise<T> {
    const stream = this.#open(call);
    try {
      return await run(stream);
    } catch (error) {
      stream.cancel();
      throw error;
    }
  }

  #open(call: Call): SessionStream {
    const stream = this.#connection.openStream();
    this.#connection.send({ type: "open", stream: stream.id, call });
    return stream;
  }

  #onFrame(frame: UpFrame): void {
    if (frame.type === "hello") return this.#onHello(frame);
    if (!this.#isWelcome) throw new OrchdError("invalid", "the agent did not wait for its welcome");
    switch (frame.type) {
      case "statuses":
        if (!this.#connection.isOpen) return;
        return this.#onStatuses(frame.sequence, frame.statuses);
      case "whole":
        if (frame.of === "network") this.#network.sendWhole();
        else this.#sets.sendWhole();
        return this.#connection.pump();
      case "time": {
        const serverTime = this.#options.clock.now();
        return this.#connection.send({ type: "time", id: frame.id, serverTime });
      }
      case "happened":
        return this.#options.happened(frame.happenings);
      case "grant":
        return this.#connection.granted(frame.stream, frame.bytes);
    }
  }

  #onHello({ protocol, instance, facts, successors, takes, generation }: Hello): void {
    if (this.#hello !== undefined) throw new OrchdError("invalid", "the agent said hello twice");
    this.#hello = { protocol, instance, facts, successors, takes, generation };
    this.#options.onHello(this.#hello);
  }

  /** One batch after the other, so that the latest word on a task is the last one written. */
  #onStatuses(sequence: number, statuses: TaskStatus[]): void {
    if (++this.#waitingReports > REPORTS_MAX) {
      throw new OrchdError("invalid", "the agent does not wait until its statuses are taken");
    }
    this.#reports = this.#reports
      .then(() => this.#options.report(statuses))
      .then(
        () => this.#connection.send({ type: "ack", sequence }),
        (error: unknown) => {
          const message = messageOf(error).slice(0, 1000);
          this.#connection.send({ type: "nack", sequence, message });
        },
      )
      .finally(() => (this.#waitingReports -= 1));
  }
}
