import { randomBelow, type Random } from "../../../../src/lib/random.ts";

/** Texts that mean something to YAML, to interpolation or to a property. */
const PIECES = [
  "&a ",
  "*a",
  "<<: ",
  "<<: *a",
  "!reset ",
  "!override ",
  "!!int ",
  "${A",
  "${A:-",
  "}",
  "$",
  "$$",
  "- ",
  ": ",
  "? ",
  "[",
  "]",
  "{",
  "}",
  "|\n",
  ">-\n",
  "'",
  '"',
  "#",
  "---\n",
  "...\n",
  "%YAML 1.1\n",
  "\t",
  "\r",
  "\0",
  "\uFEFF",
  "\u2028",
  "\u{1F600}",
  "\uD800",
  "null",
  "~",
  "true",
  "-1",
  "0",
  "1e400",
  "0x1F",
  "99999999999999999999",
  ".inf",
  "1-65535:1-65535",
  "/",
  "..",
  "services:",
  "image: a",
  "extends: web",
  "include: [a.yaml]",
  "env_file: a.env",
  "__proto__: 1",
  "x-orchd: {}",
  "deploy: []",
  "ports: [1]",
  "volumes: {}",
  "secrets: [a]",
  "profiles: [a]",
  "\n",
  "\n  ",
  "\n    ",
  "\n      ",
];

/** The text with one to four random changes: what a slip, a bad disk or an attacker makes of it. */
export function mutate(text: string, random: Random): string {
  let mutated = text;
  const changes = 1 + randomBelow(random, 4);
  for (let i = 0; i < changes; i++) mutated = mutateOnce(mutated, random);
  return mutated;
}

function mutateOnce(text: string, random: Random): string {
  const at = randomBelow(random, text.length + 1);
  const length = randomBelow(random, 12);
  const piece = PIECES[randomBelow(random, PIECES.length)] ?? "";
  const lines = text.split("\n");
  const line = randomBelow(random, lines.length);
  const other = randomBelow(random, lines.length);
  switch (randomBelow(random, 8)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at) + piece + text.slice(at);
    case 2:
      return text.slice(0, at) + piece + text.slice(at + length);
    case 3:
      return text.slice(0, at) + String.fromCharCode(randomBelow(random, 256)) + text.slice(at + 1);
    case 4:
      return lines.toSpliced(line, 1).join("\n");
    case 5:
      return lines.toSpliced(line, 0, lines[other] ?? "").join("\n");
    case 6:
      return lines.with(line, `  ${lines[line] ?? ""}`).join("\n");
    default:
      return lines.with(line, (lines[line] ?? "").replace(/: .*$/, `: ${piece}`)).join("\n");
  }
}
