import { escapeControl } from "../../lib/log.ts";

/** Characters that turn the direction of the text around them, and so can disguise it. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text from outside, made safe for a terminal: nothing in it can move, colour or forge a line. */
export function cleanText(text: string): string {
  return escapeControl(text).replace(
    TURNING,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
