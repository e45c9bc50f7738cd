import type { Clock } from "../../../src/lib/clock.ts";
import type { JoinOptions, Program, ServerOptions } from "../../../src/cli/program.ts";
import type { Io, Output } from "../../../src/cli/io.ts";
import { runCli } from "../../../src/cli/run.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Diagnosis, DoctorOptions } from "../../../src/model/diagnosis.ts";

/** A terminal, or pipes, that remember what was printed. */
export class FakeIo implements Io {
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Io["stdin"];
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  readonly clock: Clock;
  /** Each switch of the terminal's raw mode, in order. */
  readonly raw: boolean[] = [];
  readonly #interrupts = new Set<() => void>();

  constructor(
    options: {
      isTerminal?: boolean;
      input?: string;
      env?: Record<string, string>;
      cwd?: string;
      clock?: Clock;
    } = {},
  ) {
    const isTerminal = options.isTerminal === true;
    this.stdout = outputTo(this.out, isTerminal);
    this.stderr = outputTo(this.err, isTerminal);
    this.stdin = {
      isTerminal,
      read: () => new Blob([options.input ?? ""]).stream(),
      setRaw: (on) => void this.raw.push(on),
    };
    this.env = options.env ?? {};
    this.cwd = options.cwd ?? "/nowhere";
    this.clock = options.clock ?? systemClock;
  }

  onInterrupt(listener: () => void): () => void {
    this.#interrupts.add(listener);
    return () => void this.#interrupts.delete(listener);
  }

  onResize(): () => void {
    return () => {};
  }

  /** Ctrl-C; answers whether anyone listened. */
  interrupt(): boolean {
    const isHeard = this.#interrupts.size > 0;
    for (const listener of this.#interrupts) listener();
    return isHeard;
  }
}

function outputTo(chunks: string[], isTerminal: boolean): Output {
  const decoder = new TextDecoder();
  return {
    isTerminal,
    async write(data) {
      chunks.push(typeof data === "string" ? data : decoder.decode(data, { stream: true }));
    },
    size: () => ({ columns: 80, rows: 24 }),
  };
}

/** Time that passes only when it is told to. */
export class FakeClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonicNow(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

export interface Run {
  code: number;
  out: string;
  err: string;
  /** What `orchd server` was asked to be. */
  started: ServerOptions[];
  /** What `orchd join` was asked to be. */
  joined: JoinOptions[];
  /** What `orchd restore` was asked to put back, and where. */
  restored: string[];
  /** What `orchd doctor` was told of how orchd runs. */
  examined: DoctorOptions[];
}

/** Runs a command line in this process. */
export async function run(
  argv: string[],
  io: FakeIo = new FakeIo(),
  diagnosis: Diagnosis = { findings: [], checked: [], skipped: [] },
): Promise<Run> {
  const started: ServerOptions[] = [];
  const joined: JoinOptions[] = [];
  const restored: string[] = [];
  const examined: DoctorOptions[] = [];
  const program: Program = {
    build: { version: "1.2.3", commit: "abc" },
    async startServer(options) {
      started.push(options);
      return 0;
    },
    async restoreCluster({ file, dataDir }) {
      restored.push(`${file} ${dataDir}`);
      return { createdAt: 0, nodes: 2, services: 1 };
    },
    async examineMachine(options) {
      examined.push(options);
      return diagnosis;
    },
    async startAgent(options) {
      joined.push(options);
      return 0;
    },
  };
  const code = await runCli(argv, io, program);
  return { code, out: io.out.join(""), err: io.err.join(""), started, joined, restored, examined };
}
