/** When a schedule fires, by local time: each field as the values that it allows, in order. */
export interface Cron {
  minutes: readonly number[];
  hours: readonly number[];
  days: readonly number[];
  months: readonly number[];
  /** 0 is Sunday. */
  weekdays: readonly number[];
  /** Whether the day of the month, or of the week, was left open. Days need to meet both then. */
  isAnyDay: boolean;
}

export type ParsedCron = { cron: Cron } | { problem: string };

interface Field {
  noun: string;
  min: number;
  max: number;
  /** Names for `min` and those after it. */
  names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const MINUTE: Field = { noun: "minute", min: 0, max: 59 };
const HOUR: Field = { noun: "hour", min: 0, max: 23 };
const DAY: Field = { noun: "day of the month", min: 1, max: 31 };
const MONTH: Field = { noun: "month", min: 1, max: 12, names: MONTHS };
/** 7 is Sunday as well as 0. */
const WEEKDAY: Field = { noun: "day of the week", min: 0, max: 7, names: WEEKDAYS };

const NICKNAMES: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** The most days that each month can have. */
const MONTH_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** A line longer than this is not read. */
export const CRON_LENGTH_MAX = 255;

/**
 * Reads the five fields of crontab(5): minute, hour, day of the month, month, day of the week, with
 * names, lists, ranges and steps, or a nickname such as `@hourly`. A problem is told in words that
 * follow the place where the line stands.
 */
export function parseCron(text: string): ParsedCron {
  if (text.length > CRON_LENGTH_MAX) {
    return { problem: `is longer than ${CRON_LENGTH_MAX} characters` };
  }
  const line = text.trim().toLowerCase();
  const words = (NICKNAMES[line] ?? line).split(/\s+/);
  const wrong = line.startsWith("@") ? refuseNickname(line) : refuseCount(line, words);
  if (wrong !== undefined) return { problem: wrong };
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = words;
  const fields = [
    parseField(minute, MINUTE),
    parseField(hour, HOUR),
    parseField(day, DAY),
    parseField(month, MONTH),
    parseField(weekday, WEEKDAY),
  ];
  const problem = fields.find((field) => typeof field === "string");
  if (typeof problem === "string") return { problem };
  const [minutes = [], hours = [], days = [], months = [], given = []] = fields as number[][];
  const weekdays = [...new Set(given.map((value) => value % 7))].sort((a, b) => a - b);
  const isAnyDay = day.startsWith("*") || weekday.startsWith("*");
  const cron = { minutes, hours, days, months, weekdays, isAnyDay };
  const never = whyNever(cron);
  return never === undefined ? { cron } : { problem: never };
}

/** Whether it fires in every hour: then it counts time that passes, whatever clocks show. */
export function isEveryHour(cron: Cron): boolean {
  return cron.hours.length === 24;
}

function refuseNickname(line: string): string | undefined {
  if (Object.hasOwn(NICKNAMES, line)) return undefined;
  if (line.startsWith("@every")) {
    return "is an interval: write it as */N in the field of the minutes or hours";
  }
  if (line.startsWith("@reboot")) return "is not a time: a service starts with its machine";
  return `has an unknown name; known are ${Object.keys(NICKNAMES).join(", ")}`;
}

function refuseCount(line: string, words: readonly string[]): string | undefined {
  if (line === "") return "is empty: give minute, hour, day, month and day of the week";
  if (/^(cron_)?tz=/.test(line)) return "names a time zone: give it as time_zone instead";
  if (words.length === 6 || words.length === 7) {
    const rule = "give five, from the minute on; nothing runs more often than once a minute";
    return `has ${words.length} fields, as where seconds or years are given: ${rule}`;
  }
  if (words.length === 5) return undefined;
  const fields = "minute, hour, day of the month, month and day of the week";
  return `has ${words.length} fields instead of five: ${fields}`;
}

/** The values of one field in order, or what is wrong with it. */
function parseField(text: string, field: Field): number[] | string {
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const found = parseItem(item, field);
    if (typeof found === "string") return `has ${found} for the ${field.noun}`;
    for (const value of found) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

/** `*`, `5`, `1-5`, each with `/2`, as its values; or what is wrong with it. */
function parseItem(text: string, field: Field): number[] | string {
  if (/[lw#?]/.test(text.replace(/[a-z]{3}/g, ""))) {
    return `"${clipped(text)}", and L, W, # and ? are not known here,`;
  }
  const [, from = "", to, step] = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/.exec(text) ?? [];
  if (from === "" || (from === "*" && to !== undefined)) return `"${clipped(text)}"`;
  const by = step === undefined ? 1 : Number(step);
  if (by < 1 || by > field.max) return `a step of ${clipped(step ?? "")}`;
  const first = from === "*" ? field.min : valueOf(from, field);
  const open = from === "*" || step !== undefined;
  const last = to === undefined ? (open ? lastOf(field) : first) : endOf(to, first, field);
  if (first === undefined || last === undefined) {
    return `"${clipped(text)}", and it goes from ${field.min} to ${field.max},`;
  }
  if (last < first) return `"${clipped(text)}", a range that runs backwards,`;
  return Array.from({ length: Math.floor((last - first) / by) + 1 }, (_, i) => first + i * by);
}

/** Sunday, as 7, is no day of its own in a step over the whole week. */
function lastOf(field: Field): number {
  return field === WEEKDAY ? 6 : field.max;
}

/** The end of a range: one of days of the week may end on Sunday. */
function endOf(text: string, first: number | undefined, field: Field): number | undefined {
  const value = valueOf(text, field);
  return field === WEEKDAY && value === 0 && first !== 0 ? 7 : value;
}

function valueOf(text: string, { min, max, names }: Field): number | undefined {
  const named = names?.indexOf(text) ?? -1;
  if (named >= 0) return min + named;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** Why no day meets the line; undefined where one does. */
function whyNever({ days, months, weekdays, isAnyDay }: Cron): string | undefined {
  const first = days[0] ?? 0;
  const longest = Math.max(...months.map((month) => MONTH_DAYS[month - 1] ?? 0));
  if (first <= longest || (!isAnyDay && weekdays.length > 0)) return undefined;
  const names = months.map((month) => MONTHS[month - 1] ?? "").join(", ");
  return `never fires: ${names} has no day ${first}`;
}

function clipped(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
