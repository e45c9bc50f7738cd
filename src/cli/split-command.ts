/** Options that may also stand before the command; each takes a value. */
const OPTIONS_IN_FRONT = new Set(["--context", "--socket", "--data-dir"]);

/** The command's name, and everything else as its arguments. */
export function splitCommand(argv: readonly string[]): {
  name: string | undefined;
  rest: string[];
} {
  const front: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (OPTIONS_IN_FRONT.has(word)) front.push(word, ...argv.slice(++at, at + 1));
    else if (OPTIONS_IN_FRONT.has(word.replace(/=.*/s, ""))) front.push(word);
    else return { name: word, rest: [...front, ...argv.slice(at + 1)] };
  }
  return { name: undefined, rest: front };
}
