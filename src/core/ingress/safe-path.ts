const MAYBE = /%2e|%2f|%5c|%00|\/\.|\\|#/i;
const ENCODED: Readonly<Record<string, string>> = { "%2e": ".", "%2f": "/", "%5c": "/" };

/**
 * Whether a path means to a service what it means to a route. One with a segment `..` or `.`,
 * however it is written, would be found by one prefix here and stand below another one there.
 * Browsers never send such segments.
 */
export function isSafePath(path: string): boolean {
  if (!MAYBE.test(path)) return true;
  if (path.includes("#") || path.includes("%00")) return false;
  const plain = path.replaceAll("\\", "/").replace(/%2e|%2f|%5c/gi, decoded);
  return plain.split("/").every((segment) => segment !== "." && segment !== "..");
}

function decoded(text: string): string {
  return ENCODED[text.toLowerCase()] ?? text;
}
