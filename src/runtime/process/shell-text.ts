/** Texts that a POSIX shell reads. */

/** A word that the shell takes as it is. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command of such words. */
export function commandLine(...words: readonly string[]): string {
  return words.map(quote).join(" ");
}

/** Whether a shell can hold a variable of that name. */
export function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}
