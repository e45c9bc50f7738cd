import { EXPANSION_DEPTH_MAX, EXPANSION_LENGTH_MAX } from "./limits.ts";
import type { Lookup } from "./source-file.ts";

export interface InterpolationIssue {
  severity: "error" | "warning";
  message: string;
  /** The beginning of what it is about, as it is written: `${NAME`. */
  token: string;
}

/**
 * The template with its variables put in, by the Compose Specification's rules: `$V`, `${V}`,
 * `${V-d}`, `${V:-d}`, `${V?m}`, `${V:?m}`, `${V+a}`, `${V:+a}`, with templates as defaults, and
 * `$$` for a dollar sign. Values are put in as they are and never expanded again. An unset variable
 * without a default is a warning and blank.
 */
export function interpolate(
  template: string,
  lookup: Lookup,
  report: (issue: InterpolationIssue) => void,
): string {
  if (!template.includes("$")) return template;
  return new Expansion(template, lookup, report).run();
}

const NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const OPERATOR = /:?[-?+]/y;

class Expansion {
  readonly #template: string;
  readonly #lookup: Lookup;
  readonly #report: (issue: InterpolationIssue) => void;
  #at = 0;
  #length = 0;
  #failed = false;

  constructor(template: string, lookup: Lookup, report: (issue: InterpolationIssue) => void) {
    this.#template = template;
    this.#lookup = lookup;
    this.#report = report;
  }

  run(): string {
    return this.#expand(0, true);
  }

  /** Reads up to the end, or up to the `}` that ends an inner template, which stays unread. */
  #expand(depth: number, live: boolean): string {
    let text = "";
    while (this.#at < this.#template.length && !this.#failed) {
      const rest = this.#plainText(depth > 0);
      text += rest;
      if (this.#template[this.#at] !== "$") break;
      if (this.#template[this.#at + 1] === "$") {
        this.#at += 2;
        text += "$";
      } else {
        text += this.#variable(depth, live);
      }
      if (text.length > EXPANSION_LENGTH_MAX) this.#fail("$", "grows too large by interpolation");
    }
    return text;
  }

  #plainText(nested: boolean): string {
    const start = this.#at;
    while (this.#at < this.#template.length) {
      const character = this.#template[this.#at];
      if (character === "$" || (nested && character === "}")) break;
      this.#at++;
    }
    return this.#template.slice(start, this.#at);
  }

  #variable(depth: number, live: boolean): string {
    const start = this.#at;
    this.#at++;
    const braced = this.#template[this.#at] === "{";
    if (braced) this.#at++;
    const name = this.#match(NAME);
    if (name === "") {
      const token = this.#template.slice(start, start + 2);
      return this.#fail(token, 'has a "$" that begins no variable; write "$$" for a dollar sign');
    }
    const token = this.#template.slice(start, this.#at);
    if (!braced) return this.#use(name, token, live);
    const operator = this.#match(OPERATOR);
    if (operator === "" || depth >= EXPANSION_DEPTH_MAX) {
      if (operator !== "") return this.#fail(token, "has defaults nested too deeply");
      if (!this.#close()) return this.#unclosed(token);
      return this.#use(name, token, live);
    }
    return this.#withOperator(name, operator, { token, depth, live });
  }

  #withOperator(
    name: string,
    operator: string,
    { token, depth, live }: { token: string; depth: number; live: boolean },
  ): string {
    const value = this.#lookup(name);
    const present = value !== undefined && (value !== "" || !operator.startsWith(":"));
    const usesArgument = operator.endsWith("+") ? present : !present;
    const argument = this.#expand(depth + 1, live && usesArgument);
    if (this.#failed) return "";
    if (!this.#close()) return this.#unclosed(token);
    if (operator.endsWith("+")) return present ? argument : "";
    if (present) return this.#count(value);
    if (operator.endsWith("?") && live) {
      const reason = argument === "" ? "it is required" : argument;
      return this.#fail(token, `needs the variable ${name}: ${reason}`);
    }
    return argument;
  }

  #use(name: string, token: string, live: boolean): string {
    const value = this.#lookup(name);
    if (value !== undefined) return this.#count(value);
    if (live) {
      const message = `uses the variable ${name}, which is not set; it is left blank`;
      this.#report({ severity: "warning", message, token });
    }
    return "";
  }

  /** Values are bounded in sum, so that a long one used often can't fill the memory. */
  #count(value: string): string {
    this.#length += value.length;
    if (this.#length > EXPANSION_LENGTH_MAX) {
      return this.#fail("$", "grows too large by interpolation");
    }
    return value;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#template)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #close(): boolean {
    if (this.#template[this.#at] !== "}") return false;
    this.#at++;
    return true;
  }

  #unclosed(token: string): string {
    const next = this.#template[this.#at];
    const message =
      next === undefined
        ? `has "${token}" without its closing "}"`
        : `has "${token}${next}", which is no form of a variable; write "$$" for a dollar sign`;
    return this.#fail(token, message);
  }

  #fail(token: string, message: string): "" {
    if (!this.#failed) this.#report({ severity: "error", message, token });
    this.#failed = true;
    return "";
  }
}
