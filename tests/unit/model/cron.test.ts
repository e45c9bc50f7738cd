import { describe, expect, test } from "bun:test";
import { parseCron, type Cron } from "../../../src/model/cron.ts";
import { latestFires, nextFire } from "../../../src/model/fire-times.ts";
import { timeZoneOf, type TimeZone } from "../../../src/model/time-zone.ts";

function cronOf(text: string): Cron {
  const parsed = parseCron(text);
  if ("problem" in parsed) throw new Error(`${text} ${parsed.problem}`);
  return parsed.cron;
}

function problemOf(text: string): string {
  const parsed = parseCron(text);
  return "problem" in parsed ? parsed.problem : "no problem";
}

function zoneOf(name: string): TimeZone {
  const zone = timeZoneOf(name);
  if (zone === undefined) throw new Error(`there is no ${name}`);
  return zone;
}

/** The next `count` times as universal time, without what is the same in all of them. */
function fires(text: string, from: string, count = 1, zone = "UTC"): string[] {
  const cron = cronOf(text);
  const times: string[] = [];
  let at = nextFire(cron, zoneOf(zone), Date.parse(from));
  while (at !== undefined && times.length < count) {
    times.push(new Date(at).toISOString().replace(":00.000Z", ""));
    at = nextFire(cron, zoneOf(zone), at);
  }
  return times;
}

describe("a cron line", () => {
  const cases: [line: string, from: string, next: string][] = [
    ["*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05"],
    ["*/5 * * * *", "2026-01-01T00:04:59.999Z", "2026-01-01T00:05"],
    ["0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00"],
    ["30 8-17/3 * * mon-fri", "2026-01-02T17:30:00Z", "2026-01-05T08:30"],
    ["0 12 * * fri-sun", "2026-01-05T00:00:00Z", "2026-01-09T12:00"],
    ["0 0 * * 7", "2026-01-05T00:00:00Z", "2026-01-11T00:00"],
    ["0 0 * * */2", "2026-01-04T00:00:00Z", "2026-01-06T00:00"],
    ["15,45 * * JAN,Dec *", "2026-02-01T00:00:00Z", "2026-12-01T00:15"],
    ["5/20 * * * *", "2026-01-01T00:25:00Z", "2026-01-01T00:45"],
    ["@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00"],
    ["@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00"],
    // Day of the month or of the week, where both are given.
    ["0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00"],
    // A step of everything leaves the day open: both have to meet.
    ["0 0 */2 * fri", "2026-01-03T00:00:00Z", "2026-01-09T00:00"],
    ["0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00"],
    ["0 0 31 * *", "2026-02-01T00:00:00Z", "2026-03-31T00:00"],
  ];
  for (const [line, from, next] of cases) {
    test(`${line} fires after ${from} at ${next}`, () => {
      expect(fires(line, from)).toEqual([next]);
    });
  }

  const refusals: [line: string, problem: string][] = [
    ["", "is empty"],
    ["* * * *", "has 4 fields instead of five"],
    ["* * * * * *", "has 6 fields, as where seconds or years are given"],
    ["0 0 31 2 *", "never fires: feb has no day 31"],
    ["* * 31 2 *", "never fires: feb has no day 31"],
    ["0 0 31 4,6,9,11 *", "never fires: apr, jun, sep, nov has no day 31"],
    ["60 * * * *", 'has "60", and it goes from 0 to 59, for the minute'],
    ["0 24 * * *", 'has "24", and it goes from 0 to 23, for the hour'],
    ["0 0 0 * *", 'has "0", and it goes from 1 to 31, for the day of the month'],
    ["0 0 * foo *", 'has "foo", and it goes from 1 to 12, for the month'],
    ["0 0 * * 5-1", 'has "5-1", a range that runs backwards, for the day of the week'],
    ["*/0 * * * *", "has a step of 0 for the minute"],
    ["0 0 L * *", 'has "l", and L, W, # and ? are not known here, for the day of the month'],
    ["0 0 15W * *", "L, W, # and ? are not known here"],
    ["0 0 ? * mon", "L, W, # and ? are not known here"],
    ["0 0 * * mon#2", "L, W, # and ? are not known here"],
    ["1,,2 * * * *", 'has "" for the minute'],
    ["*-5 * * * *", 'has "*-5" for the minute'],
    ["@every 1s", "is an interval"],
    ["@reboot", "is not a time"],
    ["@hourl", "has an unknown name"],
    ["CRON_TZ=UTC 0 0 * * *", "names a time zone: give it as time_zone instead"],
    [`${"1,".repeat(200)}1 * * * *`, "is longer than 255 characters"],
  ];
  for (const [line, problem] of refusals) {
    test(`${JSON.stringify(line.slice(0, 30))} is refused with why`, () => {
      expect(problemOf(line)).toContain(problem);
    });
  }
});

describe("when clocks change", () => {
  test("a local time that does not exist fires once, at the jump", () => {
    // Berlin goes from 02:00 to 03:00 on 2026-03-29, at 01:00 universal time.
    expect(fires("30 2 * * *", "2026-03-28T12:00:00Z", 2, "Europe/Berlin")).toEqual([
      "2026-03-29T01:00",
      "2026-03-30T00:30",
    ]);
    expect(fires("*/15 2 * * *", "2026-03-28T12:00:00Z", 2, "Europe/Berlin")).toEqual([
      "2026-03-29T01:00",
      "2026-03-30T00:00",
    ]);
  });

  test("a local time that is there twice fires once", () => {
    // Berlin goes from 03:00 back to 02:00 on 2026-10-25, at 01:00 universal time.
    expect(fires("30 2 * * *", "2026-10-24T12:00:00Z", 2, "Europe/Berlin")).toEqual([
      "2026-10-25T00:30",
      "2026-10-26T01:30",
    ]);
  });

  test("a schedule of every hour goes on as time passes", () => {
    expect(fires("0 * * * *", "2026-10-24T23:30:00Z", 4, "Europe/Berlin")).toEqual([
      "2026-10-25T00:00",
      "2026-10-25T01:00",
      "2026-10-25T02:00",
      "2026-10-25T03:00",
    ]);
    expect(fires("*/30 * * * *", "2026-03-29T00:00:00Z", 3, "Europe/Berlin")).toEqual([
      "2026-03-29T00:30",
      "2026-03-29T01:00",
      "2026-03-29T01:30",
    ]);
  });

  test("a day that a place left out fires once, at the jump", () => {
    // Samoa had no 30 December 2011.
    expect(fires("0 8 * * *", "2011-12-29T18:00:01Z", 3, "Pacific/Apia")).toEqual([
      "2011-12-30T10:00",
      "2011-12-30T18:00",
      "2011-12-31T18:00",
    ]);
  });

  test("each day of twenty years has its one time, in order", () => {
    for (const zone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]) {
      const cron = cronOf("30 2 * * *");
      let at = Date.parse("2016-01-01T00:00:00Z");
      for (let day = 0; day < 7300; day++) {
        const next = nextFire(cron, zoneOf(zone), at) ?? 0;
        const hours = (next - at) / 3_600_000;
        if (day > 0) expect(hours).toBeGreaterThanOrEqual(22.5);
        if (day > 0) expect(hours).toBeLessThanOrEqual(25.5);
        at = next;
      }
    }
  });
});

test("an unknown time zone is none", () => {
  expect(timeZoneOf("Europe/Atlantis")).toBeUndefined();
  expect(timeZoneOf("")).toBeUndefined();
});

test("the last times of many years are found without counting them all", () => {
  const cron = cronOf("* * * * *");
  const upTo = Date.parse("2026-01-01T00:00:30Z");
  const times = latestFires(cron, zoneOf("UTC"), { after: 0, upTo, max: 3 });
  expect(times.map((at) => new Date(at).toISOString())).toEqual([
    "2025-12-31T23:58:00.000Z",
    "2025-12-31T23:59:00.000Z",
    "2026-01-01T00:00:00.000Z",
  ]);
  const yearly = latestFires(cronOf("@yearly"), zoneOf("UTC"), { after: 0, upTo, max: 100 });
  expect(yearly).toHaveLength(56);
  expect(latestFires(cron, zoneOf("UTC"), { after: upTo, upTo, max: 3 })).toEqual([]);
});
