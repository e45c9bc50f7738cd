import { Budget } from "../budget.ts";
import { Findings } from "../findings.ts";
import { FILE_LENGTH_MAX, FILES_MAX } from "../limits.ts";
import { ProblemList, quoted } from "../problem.ts";
import { sourceFile, type Lookup, type Place, type SourceFile } from "../source-file.ts";
import { buildTree } from "../yaml/build-tree.ts";
import { parseYaml, type YamlContents } from "../yaml/parse-yaml.ts";
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

export type ReadBytesResult = { ok: true; bytes: Uint8Array } | Extract<ReadResult, { ok: false }>;

/** Reads a file whole; bounding its size is the reader's business. */
export type Read = (path: string) => ReadResult;
/** Reads what a secret or config holds: any bytes. */
export type ReadContent = (path: string) => ReadBytesResult;

export interface OpenOptions {
  /** What relative paths in the file are relative to. */
  directory: string;
  lookup: Lookup;
}

/** Who asks for a file: problems with it are told there. */
export interface Asker {
  /** Absent for a file that the command line names. */
  at?: Place;
  /** Begins the message: `services.web.env_file`, `--env-file`. */
  path: string;
}

type AskOptions = OpenOptions & { asker: Asker };

/** Opens the files of one project, each once, and counts them. */
export class Loader {
  readonly problems = new ProblemList();
  readonly findings = new Findings(this.problems);
  readonly budget = new Budget(this.problems);
  /** Whether any file uses `!reset`. */
  hasResets = false;
  readonly #read: Read;
  readonly #projectDirectory: string;
  readonly #caches = new Map<Lookup, Map<string, MapNode | Variables>>();
  readonly #readContent: ReadContent;
  #opened = 0;

  constructor(read: Read, readContent: ReadContent, projectDirectory: string) {
    this.#read = read;
    this.#readContent = readContent;
    this.#projectDirectory = projectDirectory;
  }

  /** A file whose text is known. */
  source(path: string, text: string, options: OpenOptions): SourceFile {
    const withoutMark = text.startsWith("\uFEFF") ? text.slice(1) : text;
    const projectDirectory = this.#projectDirectory;
    const order = this.#opened++;
    return sourceFile({ path, text: withoutMark, order, projectDirectory, ...options });
  }

  /** A Compose file that another one names; undefined, with problems told, when it is none. */
  composeFile(path: string, options: AskOptions): MapNode | undefined {
    const key = `compose ${options.directory} ${path}`;
    return this.#cached(options.lookup, key, () => {
      const file = this.#open(path, options);
      if (file === undefined) return undefined;
      const contents = this.contents(file);
      return contents === undefined ? undefined : this.tree(file, contents);
    });
  }

  /**
   * The variables of an env file; undefined when it can't be read, which is a problem unless it is
   * `optional` and missing.
   */
  envFile(
    path: string,
    options: AskOptions & { optional?: boolean; raw?: boolean },
  ): Variables | undefined {
    const parse = options.raw === true ? parseRawEnvFile : parseEnvFile;
    return this.#cached(options.lookup, `${parse.name} ${path}`, () => {
      const file = this.#open(path, options);
      return file && parse(file, this.problems);
    });
  }

  /** What a file's text composes to; undefined, with problems told, when it is not a document. */
  contents(file: SourceFile): YamlContents | undefined {
    const contents = this.#compose(file);
    this.findings.incomplete ||= contents === undefined;
    return contents;
  }

  #compose(file: SourceFile): YamlContents | undefined {
    const refuse = (message: string) => {
      this.problems.error({ file, offset: 0 }, "", message);
      return undefined;
    };
    if (file.text.length > FILE_LENGTH_MAX) return refuse("the file is larger than 1 MiB");
    if (file.text.trim() === "") return refuse("the file is empty");
    const contents = parseYaml(file, this.problems);
    return contents === null ? refuse("the file holds nothing but comments") : contents;
  }

  /** The mapping that a Compose file is; undefined, with problems told, when it is none. */
  tree(file: SourceFile, contents: YamlContents): MapNode | undefined {
    this.hasResets ||= file.text.includes("!reset");
    const node = buildTree(contents, file, this);
    if (node.kind === "map") return node;
    this.findings.incomplete = true;
    if (this.findings.bad.has(node)) return undefined;
    const is = node.kind === "list" ? "a list" : "a single value";
    this.problems.error(node.at, "", `the file is ${is}, not a mapping with services`);
    return undefined;
  }

  /** The bytes of a file that is no text of the project, such as that of a secret. */
  content(path: string): ReadBytesResult {
    const refuse = (message: string) => ({
      ok: false as const,
      reason: "not-a-file" as const,
      message,
    });
    if (this.#opened++ >= FILES_MAX) return refuse(`a project has at most ${FILES_MAX} files`);
    return path.includes("\0") ? refuse("no file has such a name") : this.#readContent(path);
  }

  #open(path: string, options: AskOptions & { optional?: boolean }): SourceFile | undefined {
    const { asker, optional = false, directory, lookup } = options;
    const refuse = (message: string) => {
      this.findings.incomplete = true;
      const text = `${quoted(path)} can't be used: ${message}`;
      if (asker.at === undefined) this.problems.outside(asker.path, text);
      else this.problems.error(asker.at, asker.path, `${asker.path}: ${text}`);
      return undefined;
    };
    if (this.#opened >= FILES_MAX) return refuse(`a project has at most ${FILES_MAX} files`);
    if (path.includes("\0")) return refuse("no file has such a name");
    const read = this.#read(path);
    if (read.ok) return this.source(path, read.text, { directory, lookup });
    return optional && read.reason === "missing" ? undefined : refuse(read.message);
  }

  #cached<T extends MapNode | Variables>(
    lookup: Lookup,
    key: string,
    load: () => T | undefined,
  ): T | undefined {
    const cache = this.#caches.get(lookup) ?? new Map<string, MapNode | Variables>();
    this.#caches.set(lookup, cache);
    // A key says what kind of value stands under it.
    const known = cache.get(key) as T | undefined;
    if (known !== undefined) return known;
    const loaded = load();
    if (loaded !== undefined) cache.set(key, loaded);
    return loaded;
  }
}
