/**
 * Whether the whole text fits a pattern: `*` stands for any characters, `?` for one, `[abc]`,
 * `[a-z]` and `[!a-z]` for one of those or none of them, and what follows `\\` for itself. Takes at
 * most length × length steps, whatever the pattern.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  const parts = partsOf(pattern);
  const letters = Array.from(text);
  let at = 0;
  let part = 0;
  /** Where the last `*` stood, and up to where it has taken letters. */
  let star = -1;
  let taken = 0;
  while (at < letters.length) {
    const wanted = parts[part];
    if (wanted === "*") {
      star = part++;
      taken = at;
    } else if (wanted?.(letters[at] ?? "") === true) {
      at += 1;
      part += 1;
    } else if (star < 0) return false;
    else {
      part = star + 1;
      at = ++taken;
    }
  }
  return parts.slice(part).every((rest) => rest === "*");
}

type Part = "*" | ((letter: string) => boolean);

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  const letters = Array.from(pattern);
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i] ?? "";
    const end = letter === "[" ? letters.indexOf("]", i + 2) : -1;
    if (letter === "*") parts.push("*");
    else if (letter === "?") parts.push(() => true);
    else if (end > 0) {
      parts.push(setOf(letters.slice(i + 1, end)));
      i = end;
    } else if (letter === "\\" && i + 1 < letters.length) {
      const next = letters[++i];
      parts.push((other) => other === next);
    } else parts.push((other) => other === letter);
  }
  return parts;
}

/** What stands between brackets. */
function setOf(inside: readonly string[]): (letter: string) => boolean {
  const isNegated = inside[0] === "!" || inside[0] === "^";
  const members = isNegated ? inside.slice(1) : inside;
  const ranges: [from: string, to: string][] = [];
  for (let i = 0; i < members.length; i++) {
    const from = members[i] ?? "";
    const to = members[i + 1] === "-" ? members[i + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) i += 2;
  }
  return (letter) => ranges.some(([from, to]) => from <= letter && letter <= to) !== isNegated;
}
