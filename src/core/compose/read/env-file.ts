import { interpolate } from "../interpolate.ts";
import type { ProblemList } from "../problem.ts";
import { quoted } from "../problem.ts";
import type { Lookup, SourceFile } from "../source-file.ts";

/** Variables in the order of the file; one without a value is taken from the environment. */
export type Variables = Map<string, string | undefined>;

/**
 * Reads `.env` and `env_file`: `KEY=value`, `export KEY=value`, comments, 'literal' and "expanded"
 * values, which may span lines. Values are interpolated with `file.lookup`, then with the variables
 * above them.
 */
export function parseEnvFile(file: SourceFile, problems: ProblemList): Variables {
  return new EnvFileReader(file, problems).read();
}

/** Reads an `env_file` of `format: raw`: each line is `KEY=value`, taken as it stands. */
export function parseRawEnvFile(file: SourceFile, problems: ProblemList): Variables {
  const variables: Variables = new Map();
  for (const { text, offset } of linesOf(file.text)) {
    const line = text.trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const key = equals < 0 ? line.trimEnd() : line.slice(0, equals);
    if (!isKey(key)) refuseKey(key, { file, offset, problems });
    else variables.set(key, equals < 0 ? undefined : line.slice(equals + 1));
  }
  return variables;
}

function* linesOf(text: string): Generator<{ text: string; offset: number }> {
  let offset = 0;
  for (const line of text.split("\n")) {
    yield { text: line.endsWith("\r") ? line.slice(0, -1) : line, offset };
    offset += line.length + 1;
  }
}

function isKey(key: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_.-]*$/.test(key) && key !== "__proto__";
}

interface LinePlace {
  file: SourceFile;
  offset: number;
  problems: ProblemList;
}

function refuseKey(key: string, { file, offset, problems }: LinePlace): void {
  problems.error({ file, offset }, "", `${quoted(key)} is not the name of a variable`);
}

const BLANK = /[ \t]*/y;
const BLANK_LINES = /[\s\uFEFF]*/y;
const KEY = /(?:export[ \t]+)?([^\s=:#]+)[ \t]*([=:]?)[ \t]*/y;
const REST_OF_LINE = /[^\r\n]*/y;
const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", $: "$$" };

class EnvFileReader {
  readonly #file: SourceFile;
  readonly #problems: ProblemList;
  readonly #variables: Variables = new Map();
  readonly #lookup: Lookup;
  #at = 0;

  constructor(file: SourceFile, problems: ProblemList) {
    this.#file = file;
    this.#problems = problems;
    this.#lookup = (name) => file.lookup(name) ?? this.#variables.get(name);
  }

  read(): Variables {
    for (;;) {
      this.#match(BLANK_LINES);
      if (this.#at >= this.#file.text.length) return this.#variables;
      if (this.#file.text[this.#at] === "#") this.#match(REST_OF_LINE);
      else this.#variable();
    }
  }

  #variable(): void {
    const offset = this.#at;
    const [, key = "", sign] = this.#match(KEY) ?? [];
    if (!isKey(key)) {
      this.#match(REST_OF_LINE);
      refuseKey(this.#file.text.slice(offset, this.#at), this.#place(offset));
      return;
    }
    const next = this.#file.text[this.#at];
    if (sign === "") {
      const rest = this.#restOfLine();
      if (rest === "") this.#variables.set(key, this.#variables.get(key));
      else this.#error(offset, `${quoted(key)} is followed by neither "=" nor the end of its line`);
    } else if (next === '"' || next === "'") {
      this.#quotedValue(key, next, offset);
    } else {
      this.#variables.set(key, this.#expand(this.#plainValue(), offset));
    }
  }

  /** Up to the end of the line, or to a `#` after a blank. */
  #plainValue(): string {
    const line = this.#match(REST_OF_LINE)?.[0] ?? "";
    if (line.startsWith("#")) return "";
    const comment = line.search(/[ \t]#/);
    return (comment < 0 ? line : line.slice(0, comment)).trim();
  }

  #quotedValue(key: string, quote: string, offset: number): void {
    const start = ++this.#at;
    const end = this.#closingQuote(quote);
    if (end === undefined) {
      this.#at = this.#file.text.length;
      this.#error(offset, `the value of ${quoted(key)} has no closing ${quote}`);
      return;
    }
    const raw = this.#file.text.slice(start, end);
    this.#at = end + 1;
    if (this.#restOfLine() !== "") {
      this.#error(offset, `the value of ${quoted(key)} goes on after its closing ${quote}`);
      return;
    }
    const text = raw.replaceAll("\r\n", "\n");
    this.#variables.set(key, quote === "'" ? text : this.#expand(unescape(text), offset));
  }

  #closingQuote(quote: string): number | undefined {
    const { text } = this.#file;
    for (let at = this.#at; at < text.length; at++) {
      if (text[at] === "\\" && quote === '"') at++;
      else if (text[at] === quote) return at;
    }
    return undefined;
  }

  /** What else stands on the line, but for a comment. */
  #restOfLine(): string {
    this.#match(BLANK);
    const rest = this.#match(REST_OF_LINE)?.[0] ?? "";
    return rest.startsWith("#") ? "" : rest.trim();
  }

  #expand(text: string, offset: number): string {
    return interpolate(text, this.#lookup, ({ severity, message, token }) => {
      const found = this.#file.text.indexOf(token, offset);
      const at = { file: this.#file, offset: found < 0 || found > this.#at ? offset : found };
      this.#problems[severity](at, "", `the value ${message}`);
    });
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#file.text);
    this.#at += found?.[0].length ?? 0;
    return found;
  }

  #error(offset: number, message: string): void {
    this.#problems.error({ file: this.#file, offset }, "", message);
  }

  #place(offset: number): LinePlace {
    return { file: this.#file, offset, problems: this.#problems };
  }
}

/** The escapes of a double-quoted value; an escaped dollar sign stays one through interpolation. */
function unescape(text: string): string {
  return text.replace(/\\([\s\S])/g, (_, character: string) => ESCAPES[character] ?? character);
}
