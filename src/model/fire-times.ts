import { isEveryHour, type Cron } from "./cron.ts";
import type { TimeZone } from "./time-zone.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** The 29th of February on one day of the week is the rarest: it can be 40 years away. */
const DAYS_AHEAD_MAX = 366 * 41;

/**
 * When the schedule fires next, strictly after `after`; both in milliseconds since 1970. A local
 * time that does not exist fires once, when clocks jump over it; one that is there twice fires the
 * first time. A schedule of every hour has no such times: it goes on as time passes. These are the
 * rules of cron(8) of Debian. Undefined where no day meets it within 41 years.
 */
export function nextFire(cron: Cron, zone: TimeZone, after: number): number | undefined {
  // A change of the clocks can lead back into the day before. Only whole days are asked for, since
  // the time zone remembers those.
  const offset = zone.offsetAt(Math.floor(after / DAY_MS) * DAY_MS);
  const first = Math.floor((after + offset) / DAY_MS) - 1;
  for (let day = first; day < first + DAYS_AHEAD_MAX; day++) {
    if (!isDayOf(cron, day)) continue;
    const found = firstFireIn(cron, zone, day * DAY_MS, after);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The last `max` times after `after` and up to `upTo`, the oldest first. */
export function latestFires(
  cron: Cron,
  zone: TimeZone,
  { after, upTo, max }: { after: number; upTo: number; max: number },
): number[] {
  // Looked for nearby first, so that years without power are not counted minute by minute.
  for (const spanMs of [HOUR_MS, DAY_MS, 32 * DAY_MS, 366 * DAY_MS, Infinity]) {
    const from = Math.max(after, upTo - spanMs);
    const times: number[] = [];
    for (let at = nextFire(cron, zone, from); at !== undefined && at <= upTo;) {
      times.push(at);
      at = nextFire(cron, zone, at);
    }
    if (from === after || times.length >= max) return times.slice(-max);
  }
  return [];
}

/** @param day days since 1970 */
function isDayOf(cron: Cron, day: number): boolean {
  const date = new Date(day * DAY_MS);
  if (!cron.months.includes(date.getUTCMonth() + 1)) return false;
  const isDay = cron.days.includes(date.getUTCDate());
  const isWeekday = cron.weekdays.includes(date.getUTCDay());
  // Where both are given, either will do: crontab(5).
  return cron.isAnyDay ? isDay && isWeekday : isDay || isWeekday;
}

/**
 * The first time after `after` on one day.
 * @param midnight the day's begin as if local time were universal time
 */
function firstFireIn(
  cron: Cron,
  zone: TimeZone,
  midnight: number,
  after: number,
): number | undefined {
  const before = zone.offsetAt(midnight - DAY_MS);
  const behind = zone.offsetAt(midnight + 2 * DAY_MS);
  let first: number | undefined;
  for (const hour of cron.hours) {
    const isPast = midnight + (hour + 1) * HOUR_MS - before <= after;
    if (isPast && before === behind) continue;
    for (const minute of cron.minutes) {
      const local = midnight + hour * HOUR_MS + minute * MINUTE_MS;
      if (before === behind) {
        if (local - before > after) return local - before;
        continue;
      }
      for (const at of instantsOf(cron, zone, local, [before, behind])) {
        if (at > after && (first === undefined || at < first)) first = at;
      }
    }
  }
  return first;
}

/** When a local time at which clocks may change is, and for what it counts. */
function instantsOf(
  cron: Cron,
  zone: TimeZone,
  local: number,
  offsets: readonly [number, number],
): number[] {
  const early = local - Math.max(...offsets);
  const late = local - Math.min(...offsets);
  const there = [early, late].filter((at) => at + zone.offsetAt(at) === local);
  if (there.length > 0) return isEveryHour(cron) ? there : there.slice(0, 1);
  return isEveryHour(cron) ? [] : [jumpWithin(zone, early, late)];
}

/** When clocks change between two instants. */
function jumpWithin(zone: TimeZone, early: number, late: number): number {
  const before = zone.offsetAt(early);
  let [low, high] = [early, late];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (zone.offsetAt(middle) === before) low = middle;
    else high = middle;
  }
  return high;
}
