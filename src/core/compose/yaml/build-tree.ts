import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Alias, Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";
import type { Budget } from "../budget.ts";
import { interpolate } from "../interpolate.ts";
import { childPath, quoted, type ProblemList } from "../problem.ts";
import type { Place, SourceFile } from "../source-file.ts";
import { listNode, mapNode, scalarNode, sizeOf } from "./tree.ts";
import type { Entry, Node } from "./tree.ts";

type YamlNode = Alias | Scalar | YAMLMap | YAMLSeq;

/** Tags of YAML's own types; they are resolved while composing. */
const CORE_TAGS = new Set(
  ["str", "int", "float", "bool", "null", "map", "seq"].map((t) => `tag:yaml.org,2002:${t}`),
).add("!");

/**
 * Turns a composed document into nodes: aliases and merge keys are followed, strings interpolated.
 * What can't be used becomes a problem and null.
 */
export function buildTree(contents: unknown, file: SourceFile, context: TreeContext): Node {
  return new TreeBuilder(file, context).node(contents, "");
}

export interface TreeContext {
  problems: ProblemList;
  budget: Budget;
  /** Gets the nodes that a problem was told of, so that nothing more is said of them. */
  findings: { readonly bad: Set<Node> };
}

class TreeBuilder {
  readonly #file: SourceFile;
  readonly #problems: ProblemList;
  readonly #budget: Budget;
  readonly #bad: Set<Node>;
  readonly #anchors = new Map<string, Node>();

  constructor(file: SourceFile, { problems, budget, findings }: TreeContext) {
    this.#file = file;
    this.#problems = problems;
    this.#budget = budget;
    this.#bad = findings.bad;
  }

  node(yaml: unknown, path: string): Node {
    const at = this.#placeOf(yaml);
    if (!isYamlNode(yaml) || !this.#budget.takeNodes(1, at)) return scalarNode(at, null);
    if (isAlias(yaml)) return this.#alias(yaml, at, path);
    const node = this.#tagged(this.#untagged(yaml, at, path), yaml.tag, path);
    if (yaml.anchor !== undefined) this.#anchors.set(yaml.anchor, node);
    return node;
  }

  #untagged(yaml: Exclude<YamlNode, Alias>, at: Place, path: string): Node {
    if (isMap(yaml)) return this.#map(yaml, at, path);
    if (isSeq(yaml)) {
      return listNode(
        at,
        yaml.items.map((item, index) => this.node(item, `${path}[${index}]`)),
      );
    }
    return this.#scalar(yaml, at, path);
  }

  #alias(yaml: Alias, at: Place, path: string): Node {
    const node = this.#anchors.get(yaml.source);
    if (node === undefined) {
      const message = `uses the anchor ${quoted(yaml.source)}, which is not defined above it`;
      return this.#refused(at, path, message);
    }
    return this.#budget.takeNodes(sizeOf(node), at) ? node : scalarNode(at, null);
  }

  #scalar(yaml: Scalar, at: Place, path: string): Node {
    const { value } = yaml;
    if (typeof value === "number" || typeof value === "boolean") {
      return scalarNode(at, value, yaml.source);
    }
    if (value === null || value === undefined) return scalarNode(at, null);
    const text = typeof value === "string" ? value : (yaml.source ?? "");
    if (text.includes("\0")) return this.#refused(at, path, "holds a NUL character");
    if (!text.includes("$")) return scalarNode(at, text);
    return this.#interpolated(text, yaml, at, path);
  }

  #interpolated(text: string, yaml: Scalar, at: Place, path: string): Node {
    let failed = false;
    const expanded = interpolate(text, this.#file.lookup, ({ severity, message, token }) => {
      failed ||= severity === "error";
      const raw = this.#file.text.slice(at.offset, yaml.range?.[1]);
      const place = { ...at, offset: at.offset + Math.max(0, raw.indexOf(token)) };
      this.#problems[severity](place, path, `${path || "the file"} ${message}`);
    });
    const fits = this.#budget.takeCharacters(expanded.length, at);
    const node = scalarNode(at, fits && !failed ? expanded : null);
    if (failed) this.#bad.add(node);
    return node;
  }

  #map(yaml: YAMLMap, at: Place, path: string): Node {
    const entries = new Map<string, Entry>();
    const merged: unknown[] = [];
    for (const pair of yaml.items) {
      if (isMergeKey(pair)) {
        merged.push(pair.value);
        continue;
      }
      const keyAt = this.#placeOf(pair.key, at);
      const key = this.#key(pair.key, keyAt, path);
      if (key === undefined) continue;
      const child = childPath(path, key);
      if (entries.has(key)) {
        this.#problems.error(keyAt, child, `${child} is given twice in the same mapping`);
        continue;
      }
      const value = isYamlNode(pair.value) ? this.node(pair.value, child) : scalarNode(keyAt, null);
      entries.set(key, { key: keyAt, value });
    }
    for (const source of merged) this.#mergeInto(entries, source, path);
    return mapNode(at, entries);
  }

  /** `<<`: keys that are there already stay, and the first source that has a key gives it. */
  #mergeInto(entries: Map<string, Entry>, source: unknown, path: string): void {
    const node = this.node(source, childPath(path, "<<"));
    const sources = node.kind === "list" ? node.items : [node];
    for (const from of sources) {
      if (from.kind !== "map") {
        this.#problems.error(from.at, path, `${childPath(path, "<<")} must merge a mapping`);
        continue;
      }
      for (const [key, entry] of from.entries) {
        if (!this.#budget.takeNodes(1, from.at)) return;
        if (!entries.has(key)) entries.set(key, entry);
      }
    }
  }

  #key(yaml: unknown, at: Place, path: string): string | undefined {
    const where = path === "" ? "the file" : path;
    const refuse = (message: string) => {
      this.#problems.error(at, path, `${where} has ${message}`);
      return undefined;
    };
    const node = isAlias(yaml) ? undefined : yaml;
    if (!isScalar(node)) return refuse("a key that is not text");
    if (typeof node.value !== "string") {
      const shown = quoted(node.source ?? "");
      return refuse(`the key ${shown}, which is not text; put it in quotes`);
    }
    if (node.value === "__proto__") return refuse('the key "__proto__", which no name may be');
    if (node.value.includes("\0")) return refuse("a key that holds a NUL character");
    return node.value;
  }

  #tagged(node: Node, tag: string | undefined, path: string): Node {
    if (tag === undefined || CORE_TAGS.has(tag)) return node;
    if (tag === "!reset") return { ...node, tag: "reset" };
    if (tag === "!override") return { ...node, tag: "override" };
    const shown = quoted(tag.replace("tag:yaml.org,2002:", "!!"));
    return this.#refused(node.at, path, `has the tag ${shown}, which is not known`);
  }

  #refused(at: Place, path: string, message: string): Node {
    this.#problems.error(at, path, `${path || "the file"} ${message}`);
    const node = scalarNode(at, null);
    this.#bad.add(node);
    return node;
  }

  #placeOf(yaml: unknown, otherwise?: Place): Place {
    const offset = isYamlNode(yaml) ? yaml.range?.[0] : undefined;
    if (offset === undefined) return otherwise ?? { file: this.#file, offset: 0 };
    return { file: this.#file, offset };
  }
}

function isYamlNode(value: unknown): value is YamlNode {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

/** A plain `<<`; in quotes it is a key like any other. */
function isMergeKey(pair: Pair): boolean {
  return isScalar(pair.key) && pair.key.type === "PLAIN" && pair.key.source === "<<";
}
