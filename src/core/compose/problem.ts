import { escapeControl } from "../../lib/log.ts";
import { plural } from "../../lib/text.ts";
import { PROBLEMS_MAX, SHOWN_LENGTH_MAX } from "./limits.ts";
import type { Place } from "./source-file.ts";

export interface Problem {
  severity: "error" | "warning";
  /** One sentence without its place; control characters in it are escaped. */
  message: string;
  /** Relative to the project's directory where it is below it. */
  file: string;
  /** From 1; 0 for what stands in no file, such as a value given on the command line. */
  line: number;
  /** From 1; 0 where `line` is. */
  column: number;
  /** `services.web.ports[0]`; empty for the file as a whole. */
  path: string;
}

/** `compose.yaml:12:5: error: services.web.imagee is not a property of a service` */
export function formatProblem(problem: Problem): string {
  const { file, line, column, severity, message } = problem;
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return `${place}: ${severity}: ${message}`;
}

interface Found {
  problem: Problem;
  order: number;
  offset: number;
}

/** All problems of one load, bounded in number. */
export class ProblemList {
  readonly #found: Found[] = [];
  readonly #seen = new Set<string>();
  readonly #counts = { error: 0, warning: 0 };

  get hasErrors(): boolean {
    return this.#counts.error > 0;
  }

  error(at: Place, path: string, message: string): void {
    this.#add("error", at, path, message);
  }

  warning(at: Place, path: string, message: string): void {
    this.#add("warning", at, path, message);
  }

  /** Something wrong in what is no file: `source` says where it came from, `--name`. */
  outside(source: string, message: string): void {
    const problem = { severity: "error" as const, file: visible(source), line: 0, column: 0 };
    this.#counts.error++;
    this.#found.push({
      problem: { ...problem, message: visible(message), path: "" },
      order: -1,
      offset: 0,
    });
  }

  #add(severity: Problem["severity"], at: Place, path: string, message: string): void {
    const { file, offset } = at;
    // An anchor's content is looked at once for each of its aliases.
    const key = `${severity}/${file.order}/${offset}/${message}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (++this.#counts[severity] > PROBLEMS_MAX) return;
    const problem: Problem = {
      severity,
      message: visible(message),
      file: visible(file.name),
      ...file.positionOf(offset),
      path: visible(path),
    };
    this.#found.push({ problem, order: file.order, offset });
  }

  /** By file in the order of reading, then by place. */
  sorted(): Problem[] {
    const found = this.#found.toSorted((a, b) => a.order - b.order || a.offset - b.offset);
    const problems = found.map(({ problem }) => problem);
    const last = problems.at(-1);
    for (const severity of ["warning", "error"] as const) {
      const more = this.#counts[severity] - PROBLEMS_MAX;
      if (more <= 0 || last === undefined) continue;
      const message = `${plural(more, `further ${severity}`)} not shown`;
      problems.push({ ...last, severity, message, path: "" });
    }
    return problems;
  }
}

/** The text with all made visible that could forge or hide a line, and cut when very long. */
export function visible(text: string): string {
  // Nearly all texts are plain, and the pattern for the others is slow to make.
  if (text.length <= 2000 && /^[\u0020-\u007e]*$/.test(text)) return text;
  const cut = text.length > 2000 ? `${text.slice(0, 2000)}…` : text;
  return escapeControl(cut).replace(/[\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, escapePoint);
}

/** A name as it is shown in a message: in quotes, plain ASCII, never long. */
export function quoted(name: string): string {
  const cut = name.length > SHOWN_LENGTH_MAX ? `${name.slice(0, SHOWN_LENGTH_MAX)}…` : name;
  const plain = escapeControl(cut).replace(/[^\u0020-\u007e…]/gu, escapePoint);
  return `"${plain}"`;
}

function escapePoint(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

/** `services.web`; a key that is no plain word stands in quotes. */
export function childPath(path: string, key: string): string {
  const shown = /^[a-zA-Z0-9_.-]{1,120}$/.test(key) ? key : quoted(key);
  return path === "" ? shown : `${path}.${shown}`;
}
