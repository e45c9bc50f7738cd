import { OrchdError } from "../lib/errors.ts";
import { PASSPHRASE_LENGTH_MAX, PASSPHRASE_LENGTH_MIN } from "../model/vault.ts";
import { usageError } from "./context.ts";
import type { Io } from "./io.ts";

const BYTES_MAX = 4 * PASSPHRASE_LENGTH_MAX + 2;
const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACES = new Set([0x08, 0x7f]);
const ENDS = new Set([0x0a, 0x0d, CTRL_D]);

/** A passphrase from the terminal, which does not show it, or the first line of standard input. */
export async function readPassphrase(io: Io, prompt: string): Promise<string> {
  const reader = new LineReader(io);
  try {
    return refuseUnfit(await reader.ask(prompt));
  } finally {
    await reader.close();
  }
}

/** A new passphrase; on a terminal it is asked for twice. */
export async function readNewPassphrase(io: Io): Promise<string> {
  const reader = new LineReader(io);
  try {
    const text = refuseUnfit(await reader.ask("New passphrase: "));
    if (text.length < PASSPHRASE_LENGTH_MIN) {
      throw usageError(`a passphrase has at least ${PASSPHRASE_LENGTH_MIN} characters`);
    }
    if (io.stdin.isTerminal && (await reader.ask("The same again: ")) !== text) {
      throw usageError("the two differ: nothing was changed");
    }
    return text;
  } finally {
    await reader.close();
  }
}

function refuseUnfit(text: string): string {
  if (text === "") throw usageError("the passphrase is empty");
  if (text.length <= PASSPHRASE_LENGTH_MAX) return text;
  throw usageError(`a passphrase has at most ${PASSPHRASE_LENGTH_MAX} characters`);
}

/** Lines of an input that is read once. */
class LineReader {
  readonly #io: Io;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: number[] = [];
  #isRaw = false;

  constructor(io: Io) {
    this.#io = io;
    this.#chunks = io.stdin.read()[Symbol.asyncIterator]();
  }

  async ask(prompt: string): Promise<string> {
    const { stdin, stderr } = this.#io;
    if (!stdin.isTerminal) return this.#line();
    await stderr.write(prompt);
    this.#switch(true);
    try {
      return await this.#line();
    } finally {
      this.#switch(false);
      await stderr.write("\n");
    }
  }

  async close(): Promise<void> {
    if (this.#isRaw) this.#switch(false);
    await this.#chunks.return?.();
  }

  #switch(on: boolean): void {
    this.#isRaw = on;
    this.#io.stdin.setRaw(on);
  }

  async #line(): Promise<string> {
    const line: number[] = [];
    for (;;) {
      const byte = await this.#next();
      if (byte === undefined || ENDS.has(byte)) break;
      if (byte === CTRL_C && this.#isRaw) throw new OrchdError("usage", "given up");
      if (this.#isRaw && BACKSPACES.has(byte)) dropCharacter(line);
      else line.push(byte);
      if (line.length > BYTES_MAX) break;
    }
    return new TextDecoder().decode(new Uint8Array(line));
  }

  async #next(): Promise<number | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#rest = [...next.value];
    }
    return this.#rest.shift();
  }
}

/** Takes the last character away, which in UTF-8 may be several bytes. */
function dropCharacter(line: number[]): void {
  while (line.length > 0) {
    const byte = line.pop() ?? 0;
    if ((byte & 0xc0) !== 0x80) return;
  }
}
