import { OrchdError } from "../lib/errors.ts";

/** `?a=1&b=true`; what is undefined or false is left out. */
export function queryOf(values: Record<string, string | number | boolean | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== false) query.set(key, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * A name as a part of a path. Those two mean another path whatever one does (RFC 3986, 5.2.4).
 * @throws OrchdError `usage`
 */
export function segmentOf(name: string): string {
  if (name !== "." && name !== "..") return encodeURIComponent(name);
  throw new OrchdError("usage", `${JSON.stringify(name)} is not a name`);
}
