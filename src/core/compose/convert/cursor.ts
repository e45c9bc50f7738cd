import type { Findings } from "../findings.ts";
import { ITEMS_MAX, KEY_LENGTH_MAX, VALUE_LENGTH_MAX } from "../limits.ts";
import { normalForm } from "../merge/written-otherwise.ts";
import { childPath, quoted } from "../problem.ts";
import type { MergeRule } from "../properties/shape.ts";
import type { Lookup, Place } from "../source-file.ts";
import { isNull, type Node } from "../yaml/tree.ts";
import { parseBytes, parseCpuMillis, parseDurationMs, parseFlag, parseInteger } from "./units.ts";

/**
 * One value of a validated tree, with its path. What is read from it is undefined when it can't be
 * used; then a problem has been told, here or by validation.
 */
export class Cursor {
  readonly node: Node;
  readonly path: string;
  /** Where its key stands; the value itself for an item of a list. */
  readonly keyAt: Place;
  readonly findings: Findings;

  constructor(node: Node, path: string, findings: Findings, keyAt?: Place) {
    this.node = node;
    this.path = path;
    this.findings = findings;
    this.keyAt = keyAt ?? node.at;
  }

  get lookup(): Lookup {
    return this.node.at.file.lookup;
  }

  /** What relative paths in the value are relative to. */
  get directory(): string {
    return this.node.at.file.directory;
  }

  /** The value under `key`, if there is one that says something and nothing is wrong with it. */
  get(key: string): Cursor | undefined {
    if (this.node.kind !== "map") return undefined;
    const entry = this.node.entries.get(key);
    if (entry === undefined || isNull(entry.value)) return undefined;
    if (this.findings.bad.has(entry.value)) return undefined;
    return new Cursor(entry.value, childPath(this.path, key), this.findings, entry.key);
  }

  /** The keys of a mapping. */
  keys(): string[] {
    return this.node.kind === "map" ? [...this.node.entries.keys()] : [];
  }

  /** Whether something stands under `key`, be it right or wrong. */
  has(key: string): boolean {
    const value = this.node.kind === "map" ? this.node.entries.get(key)?.value : undefined;
    return value !== undefined && (!isNull(value) || this.findings.bad.has(value));
  }

  /** The items of a list, or the value itself where it stands for a list of one. */
  items(): Cursor[] {
    if (this.node.kind === "scalar") return [this];
    if (this.node.kind === "map") return [];
    if (this.node.items.length > ITEMS_MAX) {
      this.error(`has more than ${ITEMS_MAX} items`);
      return [];
    }
    return this.node.items.flatMap((item, i) =>
      this.findings.bad.has(item) ? [] : [new Cursor(item, `${this.path}[${i}]`, this.findings)],
    );
  }

  /** The entries of a mapping, or of a list that `rule` reads as one; null values included. */
  entries(rule?: MergeRule): [key: string, value: Cursor][] {
    const node = normalForm(this.node, rule);
    if (node.kind !== "map") return [];
    return [...node.entries].flatMap(([key, entry]): [string, Cursor][] => {
      if (this.findings.bad.has(entry.value)) return [];
      const path = childPath(this.path, key);
      if (key.length > KEY_LENGTH_MAX) {
        this.error(`has a key of more than ${KEY_LENGTH_MAX} characters`);
        return [];
      }
      return [[key, new Cursor(entry.value, path, this.findings, entry.key)]];
    });
  }

  get isMap(): boolean {
    return this.node.kind === "map";
  }

  /** A scalar's text; undefined for null. */
  text(): string | undefined {
    if (this.node.kind !== "scalar" || this.node.value === null) return undefined;
    if (this.node.text.length <= VALUE_LENGTH_MAX) return this.node.text;
    return this.error(`is longer than ${VALUE_LENGTH_MAX} characters`);
  }

  flag(): boolean | undefined {
    return this.parsed(parseFlag, "must be true or false");
  }

  integer(min: number, max: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.parsed(parseInteger, "must be a whole number");
    return value === undefined ? undefined : this.#within(value, min, max);
  }

  bytes(): number | undefined {
    return this.parsed(parseBytes, "must be a size, such as 512m or 1.5gb");
  }

  durationMs(): number | undefined {
    return this.parsed(parseDurationMs, "must be a time, such as 30s or 1m30s");
  }

  /** Thousandths of a core; 0 reads as undefined, since it means no limit. */
  cpuMillis(): number | undefined {
    const value = this.parsed(parseCpuMillis, "must be a number of cores, such as 0.5");
    if (value === undefined || value > 0) return value;
    if (Number(this.text()) > 0) this.error("must be at least 0.001 cores");
    return undefined;
  }

  /** @param rule told of a text that `parse` does not take, in words that follow the path */
  parsed<T>(parse: (text: string) => T | undefined, rule: string): T | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    const value = parse(text.trim());
    if (value === undefined) this.error(`${rule}, not ${quoted(text)}`);
    return value;
  }

  #within(value: number, min: number, max: number): number | undefined {
    if (value >= min && value <= max) return value;
    const bounds = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
    this.error(`must be ${bounds}, not ${value}`);
    return undefined;
  }

  /** @param message in words that follow the path */
  error(message: string): undefined {
    this.findings.problems.error(this.node.at, this.path, `${this.path} ${message}`);
    return undefined;
  }

  /** Told at the key: for what is missing in the value. */
  errorAtKey(message: string): void {
    this.findings.problems.error(this.keyAt, this.path, `${this.path} ${message}`);
  }

  /** A value that is accepted with another meaning. */
  warn(message: string): void {
    this.findings.downgrade(this.node.at, this.path, "warned", message);
  }

  /** A value that is valid Compose and not accepted here. */
  refuse(message: string): undefined {
    this.findings.downgrade(this.node.at, this.path, "refused", message);
    return undefined;
  }
}

/** Drops keys without a value, as exact optional properties need it. */
export function withoutUndefined<T extends object>(value: T): Defined<T> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  // The type says the same as the filter.
  return Object.fromEntries(entries) as Defined<T>;
}

type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
