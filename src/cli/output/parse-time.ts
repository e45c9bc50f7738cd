const UNITS_MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `1h30m`, `2d`, `500ms` as milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|min|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|min|s|m|h|d)/g)) {
    total += Number(count) * (UNITS_MS[unit ?? ""] ?? 0);
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

const DATE = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;
const UNIX_SECONDS = /^\d{9,11}(\.\d+)?$/;

/**
 * A moment, in milliseconds since 1970: so long ago (`10m`), a date or time (`2026-11-24`,
 * `2026-11-24T10:00:00Z`; local time without a zone), or Unix seconds. Undefined for anything else.
 * @param now milliseconds since 1970
 */
export function parseSince(text: string, now: number): number | undefined {
  const ago = parseDuration(text);
  if (ago !== undefined) return Math.max(0, now - ago);
  if (UNIX_SECONDS.test(text)) return Math.round(Number(text) * 1000);
  if (!DATE.test(text) && !MOMENT.test(text)) return undefined;
  // A date alone would be read as UTC, a time without a zone as local: both are local here.
  const at = Date.parse(DATE.test(text) ? `${text}T00:00:00` : text.replace(" ", "T"));
  return Number.isNaN(at) ? undefined : at;
}
