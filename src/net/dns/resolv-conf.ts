import { readFileSync, statSync } from "node:fs";
import { bytesOfHost } from "../../lib/ip.ts";

/** What a file such as /etc/resolv.conf says, as far as it is of use here. */
export interface ResolvConf {
  /** Addresses of name servers, in the order in which they are to be asked. */
  nameservers: readonly string[];
  /** Domains that programs try behind a short name. */
  search: readonly string[];
}

const PATH = "/etc/resolv.conf";
const LOOK_EVERY_MS = 2000;
const BYTES_MAX = 65_536;
const NAMESERVERS_MAX = 8;
/** glibc's own limit before 2.26; more would be asked one after the other. */
const SEARCH_MAX = 6;

/** Reads the text of a file (resolv.conf(5)). The last `search` or `domain` counts. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    const [word = "", ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    const [first = ""] = values;
    if (word === "nameserver" && bytesOfHost(first.replace(/%.*$/, "")) !== undefined) {
      nameservers.push(first);
    } else if (word === "search" || word === "domain") {
      search = word === "search" ? values : [first];
    }
  }
  return {
    nameservers: [...new Set(nameservers)].slice(0, NAMESERVERS_MAX),
    search: search.filter((domain) => domain !== "" && domain !== ".").slice(0, SEARCH_MAX),
  };
}

/** The machine's own file, read again when it is another one. */
export class ResolvConfFile {
  readonly #path: string;
  readonly #now: () => number;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #seen = "";
  #conf: ResolvConf = { nameservers: [], search: [] };

  /** @param now milliseconds that only grow */
  constructor(now: () => number, path = PATH) {
    this.#now = now;
    this.#path = path;
  }

  /** The same value for as long as the file is the same. */
  current(): ResolvConf {
    const now = this.#now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return this.#conf;
    this.#lookedAt = now;
    try {
      const { ino, mtimeMs, size } = statSync(this.#path);
      const seen = `${ino} ${mtimeMs} ${size}`;
      if (seen === this.#seen) return this.#conf;
      this.#conf = parseResolvConf(readFileSync(this.#path, "utf8").slice(0, BYTES_MAX));
      this.#seen = seen;
    } catch {
      // A machine without the file has no name server; it may be written in a moment.
      if (this.#seen !== "") this.#conf = { nameservers: [], search: [] };
      this.#seen = "";
    }
    return this.#conf;
  }
}
