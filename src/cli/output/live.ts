import type { Output } from "../io.ts";

const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
const CLEAR_BELOW = "\u001b[0J";

/** A few lines at the end of a terminal that are drawn again in place. */
export class LiveLines {
  readonly #output: Output;
  #drawn = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Lines that don't fit are cut: a wrapped line could not be drawn over. */
  async draw(lines: readonly string[]): Promise<void> {
    const { columns, rows } = this.#output.size();
    const shown = fitRows(lines, Math.max(2, rows - 1)).map((line) => clipLine(line, columns - 1));
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    this.#drawn = shown.length;
    const text = shown.map((line) => `${line}\u001b[K\n`).join("");
    await this.#output.write(`${HIDE_CURSOR}${up}\r${text}${CLEAR_BELOW}`);
  }

  /** Leaves what is drawn where it is and gives the cursor back. */
  async end(): Promise<void> {
    await this.#output.write(SHOW_CURSOR);
  }
}

function fitRows(lines: readonly string[], rows: number): readonly string[] {
  if (lines.length <= rows) return lines;
  return [...lines.slice(0, rows - 1), `… and ${lines.length - rows + 1} more`];
}

/** The line cut to `columns` of width; colour codes take none and are kept whole. */
export function clipLine(line: string, columns: number): string {
  if (Bun.stringWidth(line) <= columns) return line;
  let width = 0;
  let clipped = "";
  let colored = false;
  // Either one colour code or one character.
  for (const [part] of line.matchAll(/\u001b\[[0-9;]*m|[^]/gu)) {
    const isCode = part.startsWith("\u001b");
    if (isCode) colored = part !== "\u001b[0m";
    else width += Bun.stringWidth(part);
    if (width > columns - 1) break;
    clipped += part;
  }
  return `${clipped}…${colored ? "\u001b[0m" : ""}`;
}
