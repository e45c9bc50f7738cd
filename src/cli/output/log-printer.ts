import type { TaskLogLine } from "../../model/summary.ts";
import type { Io, Output } from "../io.ts";
import { cleanText } from "./clean.ts";
import { paintFor, type Color, type Paint } from "./color.ts";

const TASK_COLORS: readonly Color[] = ["cyan", "yellow", "green", "magenta", "blue"];

/** Prints lines of several tasks, each with the task's name in front, aligned and in one colour. */
export class LogPrinter {
  readonly #io: Io;
  readonly #names: boolean;
  readonly #timestamps: boolean;
  readonly #paints: Record<TaskLogLine["stream"], Paint>;
  readonly #colors = new Map<string, Color>();
  /** Of the longest name so far: tasks that come later can be longer. */
  #width = 0;

  constructor(io: Io, options: { names: boolean; timestamps?: boolean }) {
    this.#io = io;
    this.#names = options.names;
    this.#timestamps = options.timestamps === true;
    this.#paints = { stdout: paintFor(io), stderr: paintFor(io, io.stderr) };
  }

  async print(line: TaskLogLine): Promise<void> {
    const output: Output = this.#io[line.stream];
    const time = this.#timestamps ? `${new Date(line.at).toISOString()} ` : "";
    // The text is the program's own, and goes through as it is.
    await output.write(`${this.#prefix(line)}${time}${line.text}\n`);
  }

  #prefix({ task, stream }: TaskLogLine): string {
    if (!this.#names) return "";
    const name = cleanText(task);
    const width = Bun.stringWidth(name);
    this.#width = Math.max(this.#width, width);
    const text = `${name}${" ".repeat(this.#width - width)} |`;
    return `${this.#paints[stream](this.#colorOf(task), text)} `;
  }

  #colorOf(task: string): Color {
    const color =
      this.#colors.get(task) ?? TASK_COLORS[this.#colors.size % TASK_COLORS.length] ?? "cyan";
    this.#colors.set(task, color);
    return color;
  }
}
