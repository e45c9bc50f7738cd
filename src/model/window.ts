import { z } from "zod";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MINUTES_PER_DAY = 24 * 60;

/** Times of the week, on the clocks of one place. */
export const windowSchema = z.object({
  /** 0 is Sunday; the days on which it opens. */
  days: z.array(z.int().min(0).max(6)).min(1).max(7),
  /** Minutes since midnight. */
  from: z
    .int()
    .min(0)
    .max(MINUTES_PER_DAY - 1),
  /** Minutes since midnight; one before `from` is of the next day. */
  to: z.int().min(1).max(MINUTES_PER_DAY),
  timeZone: z.string().max(64).refine(isTimeZone, "is not the name of a time zone"),
});
export type Window = z.infer<typeof windowSchema>;

/** What of a text about a window can't be read, in words that follow it. */
export const WINDOW_RULE =
  'must be like "Mon-Fri 22:00-05:00 Europe/Berlin": days, times, and a time zone unless it is UTC';

/** `Mon-Fri 22:00-05:00 Europe/Berlin`, `Sat,Sun 00:00-24:00`, `Daily 02:00-04:00 UTC`. */
export function parseWindow(text: string): Window | undefined {
  const pattern = /^(\S{1,40}) +(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)(?: +(\S{1,64}))?$/;
  const match = pattern.exec(text.trim());
  if (match === null) return undefined;
  const [, days = "", h1, m1, h2, m2, timeZone = "UTC"] = match;
  const found = parseDays(days);
  const [from, to] = [minuteOf(h1, m1), minuteOf(h2, m2)];
  if (found === undefined || from === undefined || to === undefined || from === to)
    return undefined;
  const window = { days: found, from, to: to === 0 ? MINUTES_PER_DAY : to, timeZone };
  return windowSchema.safeParse(window).data;
}

function parseDays(text: string): number[] | undefined {
  if (/^daily$/i.test(text)) return [0, 1, 2, 3, 4, 5, 6];
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const [first, last = first, more] = part.split("-").map(dayOf);
    if (first === undefined || last === undefined || more !== undefined) return undefined;
    if (first < 0 || last < 0 || part.split("-").length > 2) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      found.add(day);
      if (day === last) break;
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** -1 for what is no day. */
function dayOf(text: string): number {
  return DAYS.findIndex((day) => day.toLowerCase() === text.toLowerCase());
}

function minuteOf(hour = "", minute = ""): number | undefined {
  const total = Number(hour) * 60 + Number(minute);
  return Number(minute) > 59 || total > MINUTES_PER_DAY ? undefined : total;
}

/** `Mon,Tue 22:00-05:00 Europe/Berlin` */
export function formatWindow({ days, from, to, timeZone }: Window): string {
  const named = days.length === 7 ? "Daily" : days.map((day) => DAYS[day]).join(",");
  return `${named} ${formatMinute(from)}-${formatMinute(to)} ${timeZone}`;
}

function formatMinute(minute: number): string {
  const [hours, minutes] = [Math.floor(minute / 60), minute % 60];
  return `${String(hours).padStart(2, "0")}:${String(minutes).padStart(2, "0")}`;
}

/**
 * Whether a clock at the window's place shows a time within it. An hour that summer time skips is
 * never shown; one that comes twice is open twice.
 * @param now milliseconds since 1970
 */
export function isOpen({ days, from, to, timeZone }: Window, now: number): boolean {
  const { day, minute } = localTime(now, timeZone);
  if (from < to) return days.includes(day) && minute >= from && minute < to;
  return minute >= from ? days.includes(day) : minute < to && days.includes((day + 6) % 7);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function localTime(now: number, timeZone: string): { day: number; minute: number } {
  const format = formats.get(timeZone) ?? newFormat(timeZone);
  formats.set(timeZone, format);
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  const minute = minuteOf(parts.get("hour"), parts.get("minute")) ?? 0;
  return { day: dayOf(parts.get("weekday") ?? ""), minute };
}

function newFormat(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-US", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

function isTimeZone(name: string): boolean {
  try {
    return newFormat(name) !== undefined;
  } catch {
    return false;
  }
}
