import { relativeTo } from "../../lib/path.ts";

/** The value of a variable, or undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

/** One text that a project was made from, as the places in it need it. */
export interface SourceFile {
  /** Where it was read from. */
  readonly path: string;
  /** How problems name it: relative to the project's directory where it is below it. */
  readonly name: string;
  /** Position among all files in the order of their reading. */
  readonly order: number;
  /** What relative paths in it are relative to. */
  readonly directory: string;
  /** The variables that it is interpolated with. */
  readonly lookup: Lookup;
  readonly text: string;
  positionOf(offset: number): { line: number; column: number };
}

/** A point in a text. */
export interface Place {
  readonly file: SourceFile;
  readonly offset: number;
}

export interface SourceFileOptions {
  path: string;
  text: string;
  order: number;
  directory: string;
  projectDirectory: string;
  lookup: Lookup;
}

export function sourceFile(options: SourceFileOptions): SourceFile {
  const { path, text, order, directory, projectDirectory, lookup } = options;
  let lineStarts: number[] | undefined;
  return {
    path,
    name: relativeTo(projectDirectory, path),
    order,
    directory,
    lookup,
    text,
    positionOf(offset) {
      lineStarts ??= lineStartsOf(text);
      const line = lastAtMost(lineStarts, offset);
      return { line: line + 1, column: offset - (lineStarts[line] ?? 0) + 1 };
    },
  };
}

/** The offset at which each line of `text` begins; CR LF, LF and a lone CR all end one. */
function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\n|\r/g)) starts.push(match.index + match[0].length);
  return starts;
}

/** Index of the last of the sorted `starts` that is not above `offset`. */
function lastAtMost(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
