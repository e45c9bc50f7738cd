import { z } from "zod";
import type { AssignmentSet } from "./assignment.ts";
import type { NodeId, TaskId } from "./ids.ts";
import type { NodeFacts } from "./node.ts";
import type { TaskStatus } from "./task.ts";

export interface LogLine {
  /** Milliseconds since 1970, by the node's clock. */
  at: number;
  stream: "stdout" | "stderr";
  /** One line, without its line break; a very long one comes in several parts. */
  text: string;
}

export interface LogOptions {
  follow: boolean;
  /** Only lines at or after this time, in milliseconds since 1970. */
  since?: number;
  /** Only the last so many lines of what is already there; absent means all. */
  tail?: number;
}

export interface ExecOptions {
  command: string[];
  tty: boolean;
  /** Keep the command's standard input open. */
  stdin: boolean;
  environment: Record<string, string>;
  user?: string;
  workingDir?: string;
  size?: TerminalSize;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

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
  /** Hands over the node's whole assignment set. */
  assign(set: AssignmentSet): void;
  logs(taskId: TaskId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  exec(taskId: TaskId, options: ExecOptions): Promise<ExecSession>;
  images(): Promise<ImageSummary[]>;
  loadImage(archive: ReadableStream<Uint8Array>): Promise<string[]>;
  /** Removes volumes that orchd made. One that is not there, is used or is not ours is no error. */
  removeVolumes(names: readonly string[]): Promise<void>;
}

/** The agent's end: what it tells the server. */
export interface ServerSession {
  /** Begins, or begins again after a gap; the server answers with the assignment set. */
  hello(session: AgentSession, facts: NodeFacts): Promise<void>;
  /** Resolves once the server holds the statuses durably; a rejected batch is to be sent again. */
  report(nodeId: NodeId, statuses: TaskStatus[]): Promise<void>;
  goodbye(nodeId: NodeId): void;
}
