import { isPlainHead, readFields } from "./fields.ts";
import { type BodyLength, Framing } from "./framing.ts";

/** The head of an answer, as much of it as passing on needs. */
export interface ResponseHead {
  status: number;
  reason: string;
  /** Whether the service takes more requests on the same connection. */
  keepsAlive: boolean;
  body: BodyLength;
  /** The line that says so, with its line end; empty where there is none. */
  lengthLine: string;
  /** The protocol that is spoken from then on: only with status 101. */
  upgrade: string | undefined;
  /** Lines that go on as they stand, each with its line end. */
  fields: string;
}

const STATUS_LINE = /^HTTP\/1\.([0-9]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const HOP_BY_HOP = new Set(["keep-alive", "proxy-connection", "te", "trailer"]);

/**
 * @param text the head as Latin 1, from the status line to the empty line
 * @param method of the request
 * @returns undefined for what is no answer that can be passed on
 */
export function parseResponseHead(text: string, method: string): ResponseHead | undefined {
  if (!isPlainHead(text)) return undefined;
  const lineEnd = text.indexOf("\r\n");
  const [, minor, digits, reason = ""] = STATUS_LINE.exec(text.slice(0, lineEnd)) ?? [];
  if (digits === undefined) return undefined;
  const framing = new Framing();
  let connection = "";
  let upgrade: string | undefined;
  const fields = readFields(text, lineEnd + 2, (name, value) => {
    if (name === "content-length" || name === "transfer-encoding") {
      return framing.take(name, value);
    }
    if (name === "connection") connection += `,${value.toLowerCase()}`;
    else if (name === "upgrade") upgrade = value;
    else return HOP_BY_HOP.has(name) ? "drop" : "keep";
    return "drop";
  });
  if (typeof fields !== "string") return undefined;
  const status = Number(digits);
  const isKept =
    minor === "0" ? hasToken(connection, "keep-alive") : !hasToken(connection, "close");
  const body = bodyOf(framing, status, method);
  return {
    status,
    reason,
    keepsAlive: isKept && body !== "untilClose",
    body,
    upgrade: status === 101 ? upgrade : undefined,
    lengthLine: hasLengthLine(status, method, framing) ? framing.line() : "",
    fields,
  };
}

/** Whether a list that is parted by commas has the word. */
function hasToken(list: string, token: string): boolean {
  return list.includes(token) && list.split(",").some((one) => one.trim() === token);
}

/** RFC 9112, section 6.3. */
function bodyOf(framing: Framing, status: number, method: string): BodyLength {
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return 0;
  return framing.length("untilClose");
}

/** Without a body, a length says what a `GET` would get: RFC 9110, section 8.6. */
function hasLengthLine(status: number, method: string, framing: Framing): boolean {
  if (status < 200 || status === 204) return false;
  return !framing.isChunked || (method !== "HEAD" && status !== 304);
}
