import { Composer, Lexer, Parser, type CST, type Document } from "yaml";
import { DEPTH_MAX, TOKENS_MAX, YAML_ERRORS_MAX } from "../limits.ts";
import type { ProblemList } from "../problem.ts";
import type { SourceFile } from "../source-file.ts";

/** The content of a document as `yaml` composed it. */
export type YamlContents = Document.Parsed["contents"];

/**
 * Composes the one document of a file. Depth and number of tokens are bounded while reading, since
 * composing is recursive. Duplicate keys are left to the caller, who finds them in linear time.
 * @returns undefined when the text is not one YAML document; the problems say why
 */
export function parseYaml(file: SourceFile, problems: ProblemList): YamlContents | undefined {
  const tokens = new BoundedTokens(file, problems);
  const composer = new Composer({
    merge: true,
    uniqueKeys: false,
    prettyErrors: false,
    resolveKnownTags: false,
    logLevel: "silent",
  });
  let first: Document.Parsed | undefined;
  for (const document of composer.compose(tokens.read(), true, file.text.length)) {
    if (first === undefined) {
      first = document;
      continue;
    }
    const at = { file, offset: document.range[0] };
    problems.error(at, "", "the file has several YAML documents; give each a file and its own -f");
    return undefined;
  }
  if (tokens.stopped || first === undefined) return undefined;
  const errors = first.errors;
  for (const { pos, message } of errors.slice(0, YAML_ERRORS_MAX)) {
    problems.error({ file, offset: pos[0] }, "", `this is not valid YAML: ${message}`);
  }
  return errors.length > 0 ? undefined : first.contents;
}

/** The parser's tokens, as long as they stay within bounds. */
class BoundedTokens {
  readonly #file: SourceFile;
  readonly #problems: ProblemList;
  stopped = false;

  constructor(file: SourceFile, problems: ProblemList) {
    this.#file = file;
    this.#problems = problems;
  }

  *read(): Generator<CST.Token, void> {
    const parser = new Parser();
    let count = 0;
    let errors = 0;
    for (const lexeme of new Lexer().lex(this.#file.text)) {
      for (const token of parser.next(lexeme)) {
        yield token;
        // What has been told by then is enough; composing the rest could take seconds.
        if (token.type === "error" && ++errors > YAML_ERRORS_MAX) return;
      }
      // The document and a scalar in the making stand on the stack too.
      if (parser.stack.length > DEPTH_MAX + 2) {
        return this.#stop(parser.offset, `collections are nested deeper than ${DEPTH_MAX} levels`);
      }
      if (++count > TOKENS_MAX) return this.#stop(parser.offset, "the file has too many parts");
    }
    yield* parser.end();
  }

  #stop(offset: number, message: string): void {
    this.stopped = true;
    this.#problems.error({ file: this.#file, offset }, "", message);
  }
}
