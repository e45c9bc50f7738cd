import type { Clock } from "../lib/clock.ts";
import type { TerminalSize } from "../model/session.ts";

/** Where a command prints. */
export interface Output {
  readonly isTerminal: boolean;
  /** Resolves when the reader has room for more. */
  write(data: string | Uint8Array): Promise<void>;
  size(): TerminalSize;
}

/** What a command is fed with. */
export interface Input {
  readonly isTerminal: boolean;
  /** May be called once; cancelling the stream lets the process end. */
  read(): ReadableStream<Uint8Array>;
  /** Hands over each key as it is pressed; the terminal is put back when the process ends. */
  setRaw(on: boolean): void;
}

/** Everything through which a command touches the machine but files and the server's socket. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Input;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The directory from which relative paths count; absolute. */
  readonly cwd: string;
  readonly clock: Clock;
  /** Ctrl-C no longer ends the process while someone listens. Answers how to stop listening. */
  onInterrupt(listener: () => void): () => void;
  onResize(listener: () => void): () => void;
}
