/** Sizes, times and numbers as Compose files write them; undefined for anything else. */

const UNIT_MS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:\d{1,15}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h)){1,8}$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g;

/** `1m30s`, `500ms`, `2h`, and a bare `0`: milliseconds, rounded. */
export function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, value, unit = ""] of text.matchAll(DURATION_PART)) {
    sum += Number(value) * (UNIT_MS[unit] ?? 0);
  }
  const ms = Math.round(sum);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

const BYTES = /^(\d{1,15}(?:\.\d{1,9})?)\s?(?:([kmgtp])(?:i?b)?|b)?$/i;

/** `512m`, `1gb`, `1.5GiB`, `65536`: bytes, in steps of 1024 as Docker counts. */
export function parseBytes(text: string): number | undefined {
  const [, value, unit = ""] = BYTES.exec(text) ?? [];
  if (value === undefined) return undefined;
  const power = unit === "" ? 0 : "kmgtp".indexOf(unit.toLowerCase()) + 1;
  const bytes = Math.round(Number(value) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `0.5`, `2`: thousandths of a core, rounded. */
export function parseCpuMillis(text: string): number | undefined {
  if (!/^\d{1,6}(?:\.\d{1,12})?$/.test(text)) return undefined;
  return Math.round(Number(text) * 1000);
}

export function parseInteger(text: string): number | undefined {
  if (!/^[+-]?\d{1,18}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** `true` and `false`, and the other words that YAML has had for them. */
export function parseFlag(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["true", "yes", "on", "y", "1"].includes(word)) return true;
  return ["false", "no", "off", "n", "0"].includes(word) ? false : undefined;
}

/** A file mode: octal digits however they are written, `0440`, `0o440` or `"0440"`. */
export function parseMode(text: string): number | undefined {
  const digits = /^0?o?([0-7]{1,4})$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}
