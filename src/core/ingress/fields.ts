/** A header section (RFC 9112, section 5) that can't be taken, or what asks for too much of it. */
export interface FieldsProblem {
  status: 400 | 417 | 431 | 501;
  why: string;
}

/** What a field is, once its name is known to be one; a problem ends the reading. */
export type TakeField = (name: string, value: string) => "keep" | "drop" | FieldsProblem;

const FIELDS_MAX = 128;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What no head may have anywhere: control characters, and line ends that are not CR LF. */
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]|\r[^\n]|[^\r]\n/;
/** Names that were seen, with what they are in lower case: most requests have the same ones. */
const names = new Map<string, string>();
const NAMES_MAX = 512;
const NAME_LENGTH_MAX = 64;

/** Whether the text of a head has nothing in it that two parsers could take differently. */
export function isPlainHead(text: string): boolean {
  return !FORBIDDEN.test(text);
}

/**
 * Reads the lines of a header section, from `start` to the empty line at the end of the text, and
 * answers those that are kept, as they stand. The text is a plain head. A line that continues
 * another one (obs-fold), and white space before the colon, are refused: RFC 9112, section 5.
 */
export function readFields(text: string, start: number, take: TakeField): string | FieldsProblem {
  let kept = "";
  /** Where the lines begin that are kept, and not copied yet. */
  let from = start;
  let at = start;
  for (let count = 0; ; count++) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return { status: 400, why: "the head does not end" };
    if (end === at) return kept + text.slice(from, at);
    if (count >= FIELDS_MAX) return { status: 431, why: `over ${FIELDS_MAX} header fields` };
    const colon = text.indexOf(":", at);
    const name = colon < 0 || colon > end ? "" : text.slice(at, colon);
    const lower = names.get(name) ?? lowerOf(name);
    if (lower === "") return { status: 400, why: "a header line without a proper name" };
    const taken = take(lower, text.slice(colon + 1, end).trim());
    if (typeof taken === "object") return taken;
    if (taken === "drop") {
      if (from < at) kept += text.slice(from, at);
      from = end + 2;
    }
    at = end + 2;
  }
}

/** Empty for what is no name. */
function lowerOf(name: string): string {
  if (!TOKEN.test(name)) return "";
  const lower = name.toLowerCase();
  // Names that somebody made up to fill this up are few, and no longer kept then.
  if (names.size < NAMES_MAX && name.length <= NAME_LENGTH_MAX) names.set(name, lower);
  return lower;
}

/** The lines without those of the named fields. */
export function withoutFields(lines: string, names: ReadonlySet<string>): string {
  const kept = readFields(`${lines}\r\n`, 0, (name) => (names.has(name) ? "drop" : "keep"));
  return typeof kept === "string" ? kept : "";
}
