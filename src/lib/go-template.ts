import type { Parsed } from "./parsed.ts";

/**
 * The part of Go's text/template that puts values into a text: fields, calls of named functions
 * with constants and fields as arguments, string constants, comments and trim markers, each lexed
 * as there (https://pkg.go.dev/text/template, "Actions" and "Text and spaces"). Nothing here loops,
 * branches or defines; whatever is outside of this part is refused with a sentence.
 */
export interface Template {
  readonly parts: readonly (string | Expression)[];
}

export type Expression = Field | Call;

export interface Field {
  readonly type: "field";
  /** `["Node", "Hostname"]` of `.Node.Hostname`. */
  readonly path: readonly string[];
}

export interface Call {
  readonly type: "call";
  readonly name: string;
  readonly args: readonly (string | Field)[];
}

/** What follows in the action that begins at `from`, and where the text goes on. */
interface Action {
  expression: string | Expression;
  end: number;
  trimsNext: boolean;
}

const SPACES = /[ \t\r\n]+/y;
const TRAILING_SPACES = " \t\r\n";
const IDENTIFIER = /[\p{L}_][\p{L}\p{Nd}_]*/uy;
const FIELD = /\.[\p{L}_][\p{L}\p{Nd}_]*/uy;
const KEYWORDS = new Set("if else end range with define template block break continue".split(" "));
const CONSTANTS = new Set(["true", "false", "nil"]);

/** A fault of a template; what is thrown here never leaves this file. */
class Fault extends Error {}

/** Whether the text has an action at all: most have none. */
export function hasActions(text: string): boolean {
  return text.includes("{{");
}

/** Takes a template apart; the problem is one sentence without its full stop. */
export function parseTemplate(text: string): Parsed<Template> {
  try {
    return { ok: true, value: { parts: partsOf(text) } };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { ok: false, problem: error.message };
  }
}

function partsOf(text: string): (string | Expression)[] {
  const parts: (string | Expression)[] = [];
  let at = 0;
  let trimsNext = false;
  for (;;) {
    const open = text.indexOf("{{", at);
    let plain = text.slice(at, open < 0 ? text.length : open);
    if (trimsNext) plain = plain.slice(spacesAt(plain, 0));
    if (open >= 0 && trimsBefore(text, open + 2)) plain = withoutTrailingSpaces(plain);
    if (plain !== "") parts.push(plain);
    if (open < 0) return parts;
    const action = readAction(text, open + 2);
    if (action.expression !== "") parts.push(action.expression);
    at = action.end;
    trimsNext = action.trimsNext;
  }
}

/** `{{- `: the mark needs a space behind it, or it begins a number. */
function trimsBefore(text: string, at: number): boolean {
  return text[at] === "-" && spacesAt(text, at + 1) > at + 1;
}

function withoutTrailingSpaces(text: string): string {
  let end = text.length;
  while (end > 0 && TRAILING_SPACES.includes(text[end - 1] ?? "x")) end -= 1;
  return text.slice(0, end);
}

function spacesAt(text: string, at: number): number {
  SPACES.lastIndex = at;
  return SPACES.test(text) ? SPACES.lastIndex : at;
}

function readAction(text: string, from: number): Action {
  const start = trimsBefore(text, from) ? spacesAt(text, from + 1) : from;
  if (text.startsWith("/*", start)) return readComment(text, start);
  let at = spacesAt(text, start);
  const words: (string | Field | { name: string })[] = [];
  for (;;) {
    const close = closeAt(text, at);
    if (close !== undefined) return { expression: expressionOf(words), ...close };
    const { word, end } = readWord(text, at);
    words.push(word);
    at = spacesAt(text, end);
    if (at === end && closeAt(text, at) === undefined) throw new Fault(whyNot(text, at));
  }
}

function readComment(text: string, start: number): Action {
  const end = text.indexOf("*/", start + 2);
  const close = end < 0 ? undefined : closeAt(text, spacesAt(text, end + 2));
  if (close === undefined) throw new Fault("has a comment that is not closed with */}}");
  return { expression: "", ...close };
}

/** `}}`, or ` -}}`, which takes the spaces behind it away. */
function closeAt(text: string, at: number): Pick<Action, "end" | "trimsNext"> | undefined {
  if (text.startsWith("}}", at)) return { end: at + 2, trimsNext: false };
  const isMark = text.startsWith("-}}", at) && TRAILING_SPACES.includes(text[at - 1] ?? "x");
  return isMark ? { end: at + 3, trimsNext: true } : undefined;
}

function readWord(
  text: string,
  at: number,
): { word: string | Field | { name: string }; end: number } {
  const first = text[at];
  if (first === '"') return readQuoted(text, at);
  if (first === "`") {
    const end = text.indexOf("`", at + 1);
    if (end < 0) throw new Fault("has a ` that is not closed");
    return { word: text.slice(at + 1, end), end: end + 1 };
  }
  if (first === ".") return readField(text, at);
  IDENTIFIER.lastIndex = at;
  const name = IDENTIFIER.exec(text)?.[0];
  if (name === undefined) throw new Fault(whyNot(text, at));
  if (KEYWORDS.has(name)) throw new Fault(`uses ${name}: ${ONLY}`);
  if (CONSTANTS.has(name)) throw new Fault(`has the constant ${name}: ${ONLY}`);
  return { word: { name }, end: at + name.length };
}

function readField(text: string, at: number): { word: Field; end: number } {
  const path: string[] = [];
  let end = at;
  for (;;) {
    FIELD.lastIndex = end;
    const found = FIELD.exec(text)?.[0];
    if (found === undefined) break;
    path.push(found.slice(1));
    end += found.length;
  }
  if (path.length === 0) throw new Fault(`has a dot that names no field: ${ONLY}`);
  return { word: { type: "field", path }, end };
}

const ONLY = 'only fields, as {{.Node.Hostname}}, and calls, as {{env "X"}}, can be used here';

function whyNot(text: string, at: number): string {
  const character = text[at];
  if (character === undefined) return "has a {{ that is not closed with }}";
  if (character === "|") return `has a pipeline: ${ONLY}`;
  if (character === "$") return `has a variable: ${ONLY}`;
  if (character === "(" || character === ")") return `has parentheses: ${ONLY}`;
  if (/[0-9+-]/.test(character)) return `has a number: ${ONLY}`;
  if (character === "'") return `has a character constant: ${ONLY}`;
  return `has a character that does not belong into {{ }}: ${ONLY}`;
}

function expressionOf(words: readonly (string | Field | { name: string })[]): string | Expression {
  const [first, ...rest] = words;
  if (first === undefined) throw new Fault("has {{ }} with nothing in it");
  if (typeof first === "string" || "type" in first) {
    if (rest.length > 0) throw new Fault(`has arguments behind what is no function: ${ONLY}`);
    return first;
  }
  const args = rest.map((word) => {
    if (typeof word === "string" || "type" in word) return word;
    throw new Fault(`has ${word.name} as an argument: ${ONLY}`);
  });
  return { type: "call", name: first.name, args };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
};
const CODE = /x[0-7][0-9a-fA-F]|[01][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}/y;

/** A string constant by Go's rules; a `\x80` and above would be no text and is refused. */
function readQuoted(text: string, from: number): { word: string; end: number } {
  let word = "";
  let at = from + 1;
  for (;;) {
    const character = text[at];
    if (character === undefined || character === "\n") {
      throw new Fault('has a " that is not closed');
    }
    if (character === '"') return { word, end: at + 1 };
    if (character !== "\\") {
      word += character;
      at += 1;
      continue;
    }
    const known = ESCAPES[text[at + 1] ?? ""];
    if (known !== undefined) {
      word += known;
      at += 2;
      continue;
    }
    CODE.lastIndex = at + 1;
    const code = CODE.exec(text)?.[0];
    if (code === undefined) throw new Fault("has a backslash in a string that means nothing");
    word += characterOf(code);
    at += 1 + code.length;
  }
}

function characterOf(code: string): string {
  const point = /^[xuU]/.test(code) ? Number.parseInt(code.slice(1), 16) : Number.parseInt(code, 8);
  if (point > 0x10_ffff || (point >= 0xd800 && point <= 0xdfff)) {
    throw new Fault("has a backslash in a string that means nothing");
  }
  return String.fromCodePoint(point);
}

/**
 * The text with each expression's value in its place.
 * @param lengthMax of the outcome, in UTF-16 units
 */
export function expandTemplate(
  { parts }: Template,
  valueOf: (expression: Expression) => Parsed<string>,
  lengthMax: number,
): Parsed<string> {
  let text = "";
  for (const part of parts) {
    const value: Parsed<string> =
      typeof part === "string" ? { ok: true, value: part } : valueOf(part);
    if (!value.ok) return value;
    if (text.length + value.value.length > lengthMax) {
      return { ok: false, problem: `becomes longer than ${lengthMax} characters` };
    }
    text += value.value;
  }
  return { ok: true, value: text };
}
