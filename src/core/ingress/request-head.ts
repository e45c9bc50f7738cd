import { type FieldsProblem, isPlainHead, readFields, withoutFields } from "./fields.ts";
import { type BodyLength, Framing } from "./framing.ts";
import { isSafePath } from "./safe-path.ts";

/** The head of a request, as much of it as routing and passing on need. */
export interface RequestHead {
  method: string;
  /** Path and query, as they came. */
  target: string;
  /** The part of it before `?`. */
  path: string;
  /** The host in lower case, without a port: what routes are found by. */
  host: string;
  /** The host as the client named it, perhaps with a port. */
  authority: string;
  isHttp11: boolean;
  /** Whether the client wants more requests on the same connection. */
  keepsAlive: boolean;
  body: BodyLength;
  /** The line that says so, with its line end; empty where the client said nothing. */
  lengthLine: string;
  /** The protocol that the client asks to speak from then on. */
  upgrade: string | undefined;
  /** All cookies of the client, as one text. */
  cookie: string;
  /** Lines that go on as they stand, each with its line end. */
  fields: string;
}

export interface HeadProblem {
  status: FieldsProblem["status"] | 505;
  why: string;
}

const REQUEST_LINE =
  /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP\/([0-9])\.([0-9])$/;
const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{0,5})?$/i;
const ABSOLUTE = /^https?:\/\/([^/?]*)(.*)$/i;

/** What the client claims of the way that its request took: the first proxy says it. */
const CLAIMS = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-proto",
  "x-forwarded-server",
  "x-real-ip",
]);
/** RFC 9110, section 7.6.1, and what was such a field before. */
const HOP_BY_HOP = new Set([
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "te",
  "trailer",
  "http2-settings",
]);
/** No message would be what it is without these. */
const ESSENTIAL = new Set(["host", "content-length", "transfer-encoding"]);

/**
 * @param text the head as Latin 1, from the first letter of the request line to the empty line
 */
export function parseRequestHead(text: string): RequestHead | HeadProblem {
  if (!isPlainHead(text)) return refused("a control character or a stray line end");
  const lineEnd = text.indexOf("\r\n");
  const [, method = "", target = "", major, minor] =
    REQUEST_LINE.exec(text.slice(0, lineEnd)) ?? [];
  if (method === "") return refused("no proper request line");
  if (major !== "1") return { status: 505, why: "a version of HTTP other than 1.1" };
  const reader = new FieldReader(minor !== "0");
  const fields = readFields(text, lineEnd + 2, (name, value) => reader.take(name, value));
  if (typeof fields !== "string") return fields;
  return headOf({ method, target, fields, reader });
}

interface Parts {
  method: string;
  target: string;
  fields: string;
  reader: FieldReader;
}

function headOf({ method, target: given, fields, reader }: Parts): RequestHead | HeadProblem {
  const { isHttp11, framing, connection, cookie } = reader;
  const absolute = given.startsWith("/") ? undefined : ABSOLUTE.exec(given);
  const authority = absolute?.[1] ?? reader.host;
  if (reader.host === undefined && isHttp11) return refused("no host");
  const host = authority === undefined ? "" : AUTHORITY.exec(authority)?.[1];
  if (host === undefined) return refused("a host that is none");
  const target = absolute === undefined || absolute === null ? given : rooted(absolute[2] ?? "");
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  if (!target.startsWith("/") || !isSafePath(path)) return refused("a path that leads elsewhere");
  if (framing.isChunked && !isHttp11) return refused("chunks in HTTP/1.0");
  const tokens = connection === "" ? [] : connection.toLowerCase().split(/[ \t]*,[ \t]*/);
  if (tokens.some((token) => ESSENTIAL.has(token))) return refused("a connection field amiss");
  const wantsUpgrade = isHttp11 && tokens.includes("upgrade") && framing.length(0) === 0;
  return {
    method,
    target,
    path,
    host: host.toLowerCase().replace(/\.$/, ""),
    authority: authority ?? "",
    isHttp11,
    keepsAlive: isHttp11 ? !tokens.includes("close") : tokens.includes("keep-alive"),
    body: framing.length(0),
    lengthLine: framing.line(),
    upgrade: wantsUpgrade ? reader.upgrade : undefined,
    cookie,
    fields: withoutNamed(fields, tokens),
  };
}

function rooted(rest: string): string {
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** Fields that belong to the client's connection because it says so. */
function withoutNamed(fields: string, tokens: readonly string[]): string {
  const named = tokens.filter((token) => !["close", "keep-alive", "upgrade", ""].includes(token));
  return named.length === 0 ? fields : withoutFields(fields, new Set(named));
}

class FieldReader {
  readonly framing = new Framing();
  readonly isHttp11: boolean;
  host: string | undefined;
  connection = "";
  upgrade: string | undefined;
  cookie = "";

  constructor(isHttp11: boolean) {
    this.isHttp11 = isHttp11;
  }

  take(name: string, value: string): "keep" | "drop" | FieldsProblem {
    switch (name) {
      case "host":
        if (this.host !== undefined) return refused("two hosts");
        this.host = value;
        return "drop";
      case "content-length":
      case "transfer-encoding":
        return this.framing.take(name, value);
      case "connection":
        this.connection += this.connection === "" ? value : `,${value}`;
        return "drop";
      case "upgrade":
        this.upgrade = oneProtocol(value, this.upgrade);
        return "drop";
      case "expect":
        if (value.toLowerCase() === "100-continue") return this.isHttp11 ? "keep" : "drop";
        return { status: 417, why: "an expectation other than 100-continue" };
      case "cookie":
        this.cookie += this.cookie === "" ? value : `; ${value}`;
        return "keep";
      default:
        return HOP_BY_HOP.has(name) || CLAIMS.has(name) ? "drop" : "keep";
    }
  }
}

/**
 * The protocol asked for, if it is one alone. HTTP/2 without TLS is not passed on: requests within
 * it would reach the service around all that is done to requests here.
 */
function oneProtocol(value: string, before: string | undefined): string | undefined {
  const isOne = before === undefined && /^[A-Za-z0-9!#$%&'*+.^_`|~/-]{1,64}$/.test(value);
  return isOne && !/^(h2c?|http)(\/|$)/i.test(value) ? value : undefined;
}

function refused(why: string): { status: 400; why: string } {
  return { status: 400, why };
}
