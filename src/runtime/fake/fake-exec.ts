import type { ExecOptions, ExecSession } from "../../model/session.ts";
import { Queue } from "../queue.ts";

type Chunk = { stream: "stdout" | "stderr"; data: Uint8Array };

const CONTROL_C = "\u0003";
const CONTROL_D = "\u0004";

/**
 * A session with a command that does not exist: with an open input it answers each line with the
 * same line (`exit 3` ends it with 3, and so does the input's end with 0); else it prints its own
 * command line and ends.
 */
export function openFakeExec(options: ExecOptions): ExecSession {
  return new FakeExec(options);
}

class FakeExec implements ExecSession {
  readonly output: Queue<Chunk>;
  readonly exitCode: Promise<number>;
  readonly #resolve: (code: number) => void;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  readonly #tty: boolean;
  #input = "";

  constructor(options: ExecOptions) {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.output = new Queue();
    this.exitCode = promise;
    this.#resolve = resolve;
    this.#tty = options.tty;
    if (options.stdin) return;
    this.#print(`${options.command.join(" ")}\n`);
    this.#end(0);
  }

  write(data: Uint8Array): Promise<void> {
    const text = this.#decoder.decode(data, { stream: true });
    if (this.#tty && text.includes(CONTROL_C)) this.#end(130);
    else if (this.#tty && text.includes(CONTROL_D)) this.#end(0);
    else this.#read(text);
    return Promise.resolve();
  }

  closeStdin(): void {
    if (this.#input !== "") this.#print(this.#input);
    this.#end(0);
  }

  resize(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#end(129);
  }

  #read(text: string): void {
    const lines = (this.#input + (this.#tty ? text.replaceAll("\r", "\n") : text)).split("\n");
    this.#input = lines.pop() ?? "";
    for (const line of lines) {
      const exit = line.trim().match(/^exit(?: (\d{1,3}))?$/);
      if (exit !== null) return this.#end(Number(exit[1] ?? 0));
      this.#print(`${line}\n`);
    }
  }

  #print(text: string): void {
    const shown = this.#tty ? text.replaceAll("\n", "\r\n") : text;
    this.output.push({ stream: "stdout", data: this.#encoder.encode(shown) });
  }

  #end(code: number): void {
    this.output.close();
    this.#resolve(code);
  }
}
