import type { Io, Output } from "../io.ts";

const CODES = {
  bold: 1,
  dim: 2,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
} as const;
export type Color = keyof typeof CODES;

/** Colours a text that is already clean, or leaves it alone. */
export type Paint = (color: Color, text: string) => string;

export const plain: Paint = (_, text) => text;

/** Colours on a terminal, unless the person asked for none (no-color.org) or it has none. */
export function paintFor(io: Io, output: Output = io.stdout): Paint {
  const none = (io.env["NO_COLOR"] ?? "") !== "" || io.env["TERM"] === "dumb";
  if (!output.isTerminal || none) return plain;
  return (color, text) => (text === "" ? "" : `\u001b[${CODES[color]}m${text}\u001b[0m`);
}
