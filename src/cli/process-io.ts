import { isatty } from "node:tty";
import { systemClock } from "../lib/clock.ts";
import type { Input, Io, Output } from "./io.ts";

/** The process's own terminal, pipes, environment and signals. */
export function processIo(): Io {
  return {
    stdout: outputOn(process.stdout, 1),
    stderr: outputOn(process.stderr, 2),
    stdin: processInput(),
    env: process.env,
    cwd: process.cwd(),
    clock: systemClock,
    onInterrupt: (listener) => listen("SIGINT", listener),
    onResize: (listener) => listen("SIGWINCH", listener),
  };
}

function listen(signal: NodeJS.Signals, listener: () => void): () => void {
  process.on(signal, listener);
  return () => void process.off(signal, listener);
}

function outputOn(stream: NodeJS.WriteStream, descriptor: number): Output {
  // Whoever read it has enough, as in `orchd logs | head`: that is no failure.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    // Nothing more can be printed there, so there is nothing left to wait for.
    console.error(`the output can't be written: ${error.message}`);
    process.exit(1);
  });
  return {
    isTerminal: isatty(descriptor),
    write(data) {
      if (stream.write(data)) return Promise.resolve();
      return new Promise((resolve) => stream.once("drain", resolve));
    },
    size: () => ({ columns: stream.columns || 80, rows: stream.rows || 24 }),
  };
}

function processInput(): Input {
  const isTerminal = isatty(0);
  return { isTerminal, read: readStdin, setRaw: rawSwitch() };
}

/** The process can end as soon as nobody reads its input any more. */
function readStdin(): ReadableStream<Uint8Array> {
  const { stdin } = process;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      stdin.on("data", (chunk: Uint8Array) => {
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) stdin.pause();
      });
      stdin.once("end", () => controller.close());
      stdin.once("error", (error) => controller.error(error));
    },
    pull: () => void stdin.resume(),
    cancel() {
      stdin.removeAllListeners("data").removeAllListeners("end");
      stdin.pause();
      stdin.unref();
    },
  });
}

/** Signals that end a process without its having a say, unless it listens. */
const ENDING_SIGNALS = { SIGTERM: 143, SIGHUP: 129, SIGINT: 130, SIGQUIT: 131 } as const;

/** Switches raw mode on and off, and off as well when the process ends in any way it can see. */
function rawSwitch(): (on: boolean) => void {
  const restore = () => void process.stdin.setRawMode(false);
  let stopListening: (() => void) | undefined;
  return (on) => {
    process.stdin.setRawMode(on);
    stopListening?.();
    stopListening = undefined;
    if (!on) return;
    const undo = Object.entries(ENDING_SIGNALS).map(([signal, code]) =>
      listen(signal as keyof typeof ENDING_SIGNALS, () => process.exit(code)),
    );
    process.on("exit", restore);
    stopListening = () => {
      process.off("exit", restore);
      for (const off of undo) off();
    };
  };
}
