/**
 * Splits a command line as a POSIX shell does, with quotes and backslashes and nothing else: no
 * variables, no patterns. Undefined when a quote is left open.
 */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'" || character === '"') {
      const inner = readQuoted(text, at);
      if (inner === undefined) return undefined;
      word = (word ?? "") + inner.text;
      at = inner.end;
    } else if (character === "\\") {
      if (at + 1 >= text.length) return undefined;
      at++;
      // A backslash before the end of a line takes both away.
      if (text[at] !== "\n") word = (word ?? "") + (text[at] ?? "");
    } else {
      word = (word ?? "") + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What stands within the quote at `start`, and where its closing quote is. */
function readQuoted(text: string, start: number): { text: string; end: number } | undefined {
  const quote = text[start];
  let inner = "";
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === quote) return { text: inner, end: at };
    const next = text[at + 1] ?? "";
    if (quote === '"' && character === "\\" && '"\\$`\n'.includes(next) && next !== "") {
      if (next !== "\n") inner += next;
      at++;
    } else {
      inner += character;
    }
  }
  return undefined;
}
