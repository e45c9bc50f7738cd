import { Budget } from "../budget.ts";
import { Findings } from "../findings.ts";
import { FILE_LENGTH_MAX, FILES_MAX } from "../limits.ts";
import { ProblemList, quoted } from "../problem.ts";
import { sourceFile, type Lookup, type Place, type SourceFile } from "../source-file.ts";
import { buildTree } from "../yaml/build-tree.ts";
import { parseYaml } from "../yaml/parse-yaml.ts";
import type { MapNode } from "../yaml/tree.ts";
import { parseEnvFile, parseRawEnvFile, type Variables } from "./env-file.ts";

export type ReadResult =
  | { ok: true; text: string }
  | {
      ok: false;
      reason: "missing" | "unreadable" | "too-large" | "not-a-file";
      /** Completes "…: ": `there is no such file`. */
      message: string;
    };

/** Reads a file whole; bounding its size is the reader's business. */
export type Read = (path: string) => ReadResult;

export interface OpenOptions {
  directory: string;
  lookup: Lookup;
}

/** Who asks for a file: problems with it are told there. */
export interface Asker {
  at: Place;
  /** Begins the message: `services.web.env_file`. */
  path: string;
}

/** Opens the files of one project, and counts them. */
export class Loader {
  readonly problems = new ProblemList();
  readonly findings = new Findings(this.problems);
  readonly budget = new Budget(this.problems);
  /** Set when a file had to be left out, so that what refers to it is not blamed as well. */
  incomplete = false;
  /** Whether any file uses `!reset`. */
  hasResets = false;
  readonly #read: Read;
  readonly #projectDirectory: string;
  readonly #variables = new Map<string, Variables>();
  #opened = 0;

  constructor(read: Read, projectDirectory: string) {
    this.#read = read;
    this.#projectDirectory = projectDirectory;
  }

  /** A file whose text is known. */
  source(path: string, text: string, options: OpenOptions): SourceFile {
    const withoutMark = text.startsWith("\uFEFF") ? text.slice(1) : text;
    const projectDirectory = this.#projectDirectory;
    const order = this.#opened++;
    return sourceFile({ path, text: withoutMark, order, projectDirectory, ...options });
  }

  /**
   * The text of `path`; undefined when it can't be had, which is a problem unless `optional` and
   * the file is missing.
   */
  open(
    path: string,
    options: OpenOptions & { asker: Asker; optional?: boolean },
  ): SourceFile | undefined {
    const { asker, optional = false, ...rest } = options;
    const fail = (message: string) => {
      this.incomplete = true;
      this.problems.error(asker.at, asker.path, `${asker.path} names ${quoted(path)}: ${message}`);
      return undefined;
    };
    if (this.#opened >= FILES_MAX) return fail(`a project may have at most ${FILES_MAX} files`);
    if (path.includes("\0")) return fail("no file has such a name");
    const read = this.#read(path);
    if (read.ok) return this.source(path, read.text, rest);
    return optional && read.reason === "missing" ? undefined : fail(read.message);
  }

  /** The mapping that a Compose file is; undefined, with problems told, when it is none. */
  tree(file: SourceFile): MapNode | undefined {
    const node = this.#parse(file);
    if (node === undefined) this.incomplete = true;
    return node;
  }

  #parse(file: SourceFile): MapNode | undefined {
    const refuse = (message: string) => {
      this.problems.error({ file, offset: 0 }, "", message);
      return undefined;
    };
    if (file.text.length > FILE_LENGTH_MAX) return refuse("the file is larger than 1 MiB");
    if (file.text.trim() === "") return refuse("the file is empty");
    const contents = parseYaml(file, this.problems);
    if (contents === undefined) return undefined;
    if (contents === null) return refuse("the file holds nothing but comments");
    this.hasResets ||= file.text.includes("!reset");
    const node = buildTree(contents, file, this);
    if (node.kind === "map") return node;
    const is = node.kind === "list" ? "a list" : "a single value";
    return refuse(`the file is ${is}, not a mapping with services`);
  }

  /** The variables of an env file; each file is read once for each way of reading it. */
  variables(file: SourceFile, format: "env" | "raw" = "env"): Variables {
    const parse = format === "raw" ? parseRawEnvFile : parseEnvFile;
    return parse(file, this.problems);
  }

  cached(key: string, load: () => Variables): Variables {
    const known = this.#variables.get(key);
    if (known !== undefined) return known;
    const loaded = load();
    this.#variables.set(key, loaded);
    return loaded;
  }
}
