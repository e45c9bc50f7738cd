import type { ExecOptions, ExecSession, TerminalSize } from "../../model/session.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { OutputChunk } from "../podman/frames.ts";
import { endSession } from "../podman/process-group.ts";
import { signalNumberOf } from "../podman/signals.ts";
import { Queue } from "../queue.ts";

const SIZE_DEFAULT: TerminalSize = { columns: 80, rows: 24 };

/** A command as it is started: its words and what its environment carries. */
export interface ExecStart {
  words: readonly string[];
  env: Record<string, string>;
}

/** Starts a command and answers its session. */
export function openProcessExec(start: ExecStart, options: ExecOptions): ExecSession {
  return options.tty ? inTerminal(start, options) : overPipes(start, options);
}

function inTerminal({ words, env }: ExecStart, { size = SIZE_DEFAULT }: ExecOptions): ExecSession {
  const output = new Queue<OutputChunk>();
  const child = Bun.spawn([...words], {
    env: { TERM: "xterm", ...env },
    cwd: "/",
    terminal: {
      cols: size.columns,
      rows: size.rows,
      data: (_terminal, data) => output.push({ stream: "stdout", data: data.slice() }),
    },
  });
  const { terminal } = child;
  if (terminal === undefined) throw new OrchdError("runtime", "the node has no terminal to give");
  const exitCode = codeOf(child).then((code) => {
    terminal.close();
    output.close();
    return code;
  });
  return {
    output,
    write: (data) => {
      if (!terminal.closed) terminal.write(data);
      return Promise.resolve();
    },
    // What a terminal sends at the end of its input.
    closeStdin: () => void (terminal.closed || terminal.write("\u0004")),
    resize: ({ columns, rows }) => {
      if (!terminal.closed) terminal.resize(columns, rows);
      return Promise.resolve();
    },
    exitCode,
    close: () => end(child, output),
  };
}

function overPipes({ words, env }: ExecStart, { stdin }: ExecOptions): ExecSession {
  const output = new Queue<OutputChunk>();
  const child = Bun.spawn([...words], {
    env,
    cwd: "/",
    detached: true,
    stdio: [stdin ? "pipe" : "ignore", "pipe", "pipe"],
  });
  const streams = [follow("stdout", child.stdout, output), follow("stderr", child.stderr, output)];
  const exitCode = Promise.all([codeOf(child), ...streams]).then(([code]) => {
    output.close();
    return code;
  });
  const input = child.stdin;
  return {
    output,
    write: async (data) => {
      if (input === undefined) return;
      try {
        void input.write(data);
        await input.flush();
      } catch {
        // The command reads no more.
      }
    },
    closeStdin: () => void input?.end(),
    resize: () => Promise.resolve(),
    exitCode,
    close: () => end(child, output),
  };
}

async function follow(
  stream: "stdout" | "stderr",
  source: ReadableStream<Uint8Array>,
  output: Queue<OutputChunk>,
): Promise<void> {
  try {
    for await (const data of source) output.push({ stream, data });
  } catch {
    // It broke with the command: what came before is told.
  }
}

/** As a shell tells of a signal. */
async function codeOf(child: Bun.Subprocess): Promise<number> {
  await child.exited;
  if (child.exitCode !== null) return child.exitCode;
  return 128 + (signalNumberOf(String(child.signalCode)) ?? 0);
}

/** Nobody listens any more: it ends with all that it has started. */
function end(child: Bun.Subprocess, output: Queue<OutputChunk>): void {
  output.close();
  if (child.exitCode !== null || child.signalCode !== null) return;
  endSession(child.pid);
  child.kill("SIGKILL");
}
