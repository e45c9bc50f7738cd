import type { CheckResult } from "../../core/probe/probe-state.ts";
import type { Check } from "../../model/probe.ts";
import { exchange } from "./exchange.ts";

/** Of an answer so much is read, head and body; what comes after is nobody's business. */
const ANSWER_BYTES_MAX = 8192;
/** For so long more is waited for once the head is there: the rest is only told to people. */
const BODY_WAIT_MS = 500;
const HEAD_END = "\r\n\r\n";
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})(?: .*)?$/;

type HttpCheck = Extract<Check, { type: "http" }>;

/**
 * Asks an HTTP server once, over a connection of its own. A status from 200 to 399 is a success;
 * redirects are not followed. Resolves at the end of the answer, after its first 8 KiB, half a
 * second after its head, or when `signal` gives up: a head that came by then counts.
 */
export async function checkHttp(
  address: string,
  check: HttpCheck,
  signal: AbortSignal,
): Promise<CheckResult> {
  const answer = new Answer();
  const enough = new AbortController();
  let bodyWait: ReturnType<typeof setTimeout> | undefined;
  const end = await exchange({
    address,
    port: check.port,
    tls: check.scheme === "https",
    request: new TextEncoder().encode(requestOf(address, check)),
    onData: (bytes) => {
      const isDone = answer.add(bytes);
      if (answer.status !== undefined) bodyWait ??= setTimeout(() => enough.abort(), BODY_WAIT_MS);
      return isDone;
    },
    signal: AbortSignal.any([signal, enough.signal]),
  });
  clearTimeout(bodyWait);
  const { status } = answer;
  const where = `port ${check.port}`;
  if (status !== undefined) {
    const { body } = answer;
    const output = body.trim() === "" ? `HTTP ${status}` : `HTTP ${status}: ${body}`;
    return { ok: status >= 200 && status < 400, output };
  }
  if (typeof end === "object") return { ok: false, output: `${where} ${end.trouble}` };
  if (answer.isEmpty) return { ok: false, output: `${where} closed the connection unanswered` };
  return { ok: false, output: `${where} does not answer in HTTP/1` };
}

function requestOf(address: string, { path, port, host, headers }: HttpCheck): string {
  const given = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const own = { host: host ?? `${address}:${port}`, "user-agent": "orchd-probe", accept: "*/*" };
  const lines = [
    `GET ${path} HTTP/1.1`,
    ...Object.entries(own).flatMap(([name, value]) =>
      given.has(name) ? [] : [`${name}: ${value}`],
    ),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "connection: close",
  ];
  return `${lines.join("\r\n")}${HEAD_END}`;
}

/** As much of an answer as is read. Latin-1 keeps each byte one character until the end. */
class Answer {
  #text = "";
  #read = 0;
  #headEnd = -1;
  status: number | undefined;

  get isEmpty(): boolean {
    return this.#read === 0;
  }

  get body(): string {
    const start = this.#headEnd + HEAD_END.length;
    return new TextDecoder().decode(Buffer.from(this.#text.slice(start), "latin1"));
  }

  /** Whether nothing more is to be read. */
  add(bytes: Uint8Array): boolean {
    const part = bytes.subarray(0, ANSWER_BYTES_MAX - this.#read);
    this.#read += part.length;
    this.#text += Buffer.from(part).toString("latin1");
    if (this.status === undefined && !this.#readHead()) return true;
    return this.#read >= ANSWER_BYTES_MAX || this.#isComplete();
  }

  /** Whether this is, or can become, an answer. Heads that only announce another are left out. */
  #readHead(): boolean {
    for (;;) {
      // What does not begin as an answer does will not become one.
      if (this.#text.length >= 5 && !this.#text.startsWith("HTTP/")) return false;
      const headEnd = this.#text.indexOf(HEAD_END);
      if (headEnd < 0) return true;
      const [line = ""] = this.#text.split("\r\n", 1);
      const [, digits] = STATUS_LINE.exec(line) ?? [];
      if (digits === undefined) return false;
      if (!digits.startsWith("1")) {
        this.#headEnd = headEnd;
        this.status = Number(digits);
        return true;
      }
      this.#text = this.#text.slice(headEnd + HEAD_END.length);
    }
  }

  #isComplete(): boolean {
    if (this.status === undefined) return false;
    if (this.status === 204 || this.status === 304) return true;
    const head = this.#text.slice(0, this.#headEnd + 2);
    const [, length] = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/i.exec(head) ?? [];
    if (length === undefined) return false;
    return this.#text.length - this.#headEnd - HEAD_END.length >= Number(length);
  }
}
