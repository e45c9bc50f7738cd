import type { FieldsProblem } from "./fields.ts";

/** How long a body is: so many bytes, as its chunks say, or until the connection ends. */
export type BodyLength = number | "chunked" | "untilClose";

/** The fields of a head that say where its body ends (RFC 9112, section 6). */
export class Framing {
  #length: number | undefined;
  #isChunked = false;

  /**
   * Takes `content-length` or `transfer-encoding`. Each may stand there once, and never both: what
   * one program reads as the end of a message must be the end for all of them.
   */
  take(name: "content-length" | "transfer-encoding", value: string): "drop" | FieldsProblem {
    if (this.#isChunked || this.#length !== undefined) {
      return { status: 400, why: "the length of the body is told twice" };
    }
    if (name === "content-length") {
      if (!/^\d{1,15}$/.test(value))
        return { status: 400, why: "a content-length that is no number" };
      this.#length = Number(value);
      return "drop";
    }
    if (value.toLowerCase() !== "chunked") {
      return { status: 501, why: "a transfer-encoding other than chunked" };
    }
    this.#isChunked = true;
    return "drop";
  }

  get isChunked(): boolean {
    return this.#isChunked;
  }

  /** @param otherwise the length of a body of which nothing is said */
  length(otherwise: BodyLength): BodyLength {
    return this.#isChunked ? "chunked" : (this.#length ?? otherwise);
  }

  /** The line that says how long the body is, with its line end; empty where nothing was said. */
  line(): string {
    if (this.#isChunked) return "Transfer-Encoding: chunked\r\n";
    return this.#length === undefined ? "" : `Content-Length: ${this.#length}\r\n`;
  }
}
