import { z } from "zod";
import type { Assignment, AssignmentSet } from "./assignment.ts";
import type { Happening } from "./event.ts";
import type { NodeId, TaskId } from "./ids.ts";
import type { NetworkSource } from "./network-change.ts";
import type { ContentRef } from "./item.ts";
import type { NodeFacts } from "./node.ts";
import type { Successor } from "./successor.ts";
import type { TaskStatus } from "./task.ts";
import type { UpgradeOrder } from "./upgrade.ts";
import type { NodeUsage } from "./usage.ts";
import type { VolumeCalls } from "./volume.ts";

export const logLineSchema = z.object({
  /** Milliseconds since 1970, by the node's clock. */
  at: z.number(),
  stream: z.enum(["stdout", "stderr"]),
  /** One line, without its line break; a very long one comes in several parts. */
  text: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

export const logOptionsSchema = z.object({
  follow: z.boolean(),
  /** Only lines at or after this time, in milliseconds since 1970. */
  since: z.number().optional(),
  /** Only the last so many lines of what is already there; absent means all. */
  tail: z.int().min(0).optional(),
});
export type LogOptions = z.infer<typeof logOptionsSchema>;

export const terminalSizeSchema = z.object({
  columns: z.int().min(1).max(10_000),
  rows: z.int().min(1).max(10_000),
});
export type TerminalSize = z.infer<typeof terminalSizeSchema>;

export const execOptionsSchema = z.object({
  command: z.array(z.string().max(131_072)).min(1).max(4096),
  tty: z.boolean(),
  /** Keep the command's standard input open. */
  stdin: z.boolean(),
  environment: z.record(z.string().min(1).max(4096), z.string().max(131_072)),
  user: z.string().max(255).optional(),
  workingDir: z.string().max(4096).optional(),
  size: terminalSizeSchema.optional(),
});
export type ExecOptions = z.infer<typeof execOptionsSchema>;

/** A command that runs in a task. */
export interface ExecSession {
  /** What it prints; with a terminal everything is `stdout`. Ends when the command has. */
  output: AsyncIterable<{ stream: "stdout" | "stderr"; data: Uint8Array }>;
  /** Resolves when more may be written. */
  write(data: Uint8Array): Promise<void>;
  closeStdin(): void;
  resize(size: TerminalSize): Promise<void>;
  /** Resolves after `output` has ended. */
  exitCode: Promise<number>;
  /** Gives up: closes the connection; the command sees its terminal go away. */
  close(): void;
}

/** A connection that carries bytes both ways; each way ends by itself. */
export interface ByteStream {
  /** What the other side sends, until it has no more. Throws when the connection breaks. */
  input: AsyncIterable<Uint8Array>;
  /** Resolves when more may be written; rejects when the connection has broken. */
  write(data: Uint8Array): Promise<void>;
  /** Says that nothing more comes from this side; the other side may go on. */
  end(): void;
  /** Gives up both ways. */
  close(): void;
}

export const imageSummarySchema = z.object({
  id: z.string(),
  references: z.array(z.string()),
  sizeBytes: z.int(),
  createdAt: z.int(),
});
export type ImageSummary = z.infer<typeof imageSummarySchema>;

/**
 * The server's end of a session with one agent. On one machine the agent answers it directly;
 * across machines the same calls travel as frames over one connection.
 */
export interface AgentSession {
  readonly nodeId: NodeId;
  /** Tasks that the agent made itself, as it said when the session began. */
  successors(): readonly Successor[];
  /** Of the last set that the agent has, as it said when the session began; absent before it. */
  generation(): number | undefined;
  /** All that the agent was told last, in full, each with the state that it reached here. */
  held(): Promise<Assignment[]>;
  /** Hands over the node's whole assignment set. */
  assign(set: AssignmentSet): void;
  /** Says that the map of the cluster's network is another one: the agent takes what it lacks. */
  network(source: NetworkSource): void;
  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession>;
  images(): Promise<ImageSummary[]>;
  /**
   * Gets images that the site has; answers those that are here now.
   * @throws OrchdError why one of them can't be had
   */
  fetchImages(references: readonly string[]): Promise<string[]>;
  /**
   * Removes images that are neither in use nor among these, while there is too little room on the
   * node's disk; nothing where there is room. Answers what was removed.
   */
  pruneImages(keep: readonly string[]): Promise<string[]>;
  /**
   * Removes volumes that orchd made. One that is not there or not ours, or that somebody else uses,
   * is no error.
   * @throws OrchdError `conflict` (retryable) while a task of the node may hold one
   */
  removeVolumes(names: readonly string[]): Promise<void>;
  /** The node's volumes: what is there, their files out and in. */
  readonly volumes: VolumeCalls;
  /** Which of these contents the node does not have. */
  lackedContents(refs: readonly ContentRef[]): Promise<ContentRef[]>;
  /**
   * Hands over a content that a task of the node needs; undefined when there is none any more.
   * @throws OrchdError `conflict` (retryable) when no task there needs it, `noSpace`
   */
  takeContent(ref: ContentRef, bytes: Uint8Array | undefined): Promise<void>;
  /**
   * Connects to a TCP port of a running task.
   * @throws OrchdError `conflict` when the task can't be reached at all, `unreachable` when nothing
   * takes connections on the port
   */
  forward(taskId: TaskId, port: number): Promise<ByteStream>;
  /**
   * Has the node run another executable; its session ends soon after, and what came of it is in the
   * facts of a later one. Containers go on.
   * @throws OrchdError when it is not even tried
   */
  upgrade(order: UpgradeOrder): Promise<void>;
  /** Measures tasks now; of one that does not run here nothing is said. */
  usage(taskIds: readonly TaskId[]): Promise<NodeUsage>;
  /**
   * Ends the session and says why; without a connection between the two it does nothing.
   * @param code one of `SESSION_END`
   */
  close(code: number, reason: string): void;
}

/** Why a session ended, as codes of WebSocket's close frames (RFC 6455, section 7.4). */
export const SESSION_END = {
  /** The agent stops. */
  done: 1000,
  /** The server stops. */
  serverStops: 1001,
  /** The server can't take the agent in now. */
  tryAgain: 1013,
  /** The other end sent what makes no sense. */
  invalid: 4400,
  /** The node was removed from the cluster. */
  removed: 4403,
  /** The other end said nothing for too long, or did not read. */
  silent: 4408,
  /** Another machine has a session with the same key. */
  copy: 4409,
  /** A newer session of the same agent took its place. */
  replaced: 4410,
  /** The other end speaks another version of the protocol. */
  version: 4426,
} as const;

export interface SessionEvents {
  /** A session begins again after a gap; its first set comes after this. */
  onResume(): void;
  /** There is no session any more. */
  onLost(): void;
  /** There will be none: the node was removed from the cluster. */
  onRemoved?(): void;
}

/** The agent's end: what it tells the server. */
export interface ServerSession {
  /**
   * Begins; the server answers with the assignment set. Resolves once the server has taken the
   * agent in, however long that takes.
   */
  hello(session: AgentSession, facts: NodeFacts, events?: SessionEvents): Promise<void>;
  /** Whether a session is under way, or just begins: the server decides what runs then. */
  leads(): boolean;
  /** Resolves once the server holds the statuses durably; a rejected batch is to be sent again. */
  report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void>;
  /** What happened on the node and concerns no task; answers whether somebody hears it. */
  happened(nodeId: NodeId, happenings: readonly Happening[]): boolean;
  goodbye(nodeId: NodeId): void;
}
