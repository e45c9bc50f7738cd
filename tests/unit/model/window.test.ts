import { describe, expect, test } from "bun:test";
import { formatWindow, isOpen, parseWindow, windowSchema } from "../../../src/model/window.ts";

const window = (text: string) => {
  const parsed = parseWindow(text);
  if (parsed === undefined) throw new Error(`${text} is no window`);
  return parsed;
};
const openAt = (text: string, ...moments: string[]) =>
  moments.map((moment) => isOpen(window(text), Date.parse(moment)));

describe("a window is read", () => {
  const cases: [text: string, told: string | undefined][] = [
    ["Mon-Fri 22:00-05:00 Europe/Berlin", "Mon,Tue,Wed,Thu,Fri 22:00-05:00 Europe/Berlin"],
    ["sat,SUN 0:00-24:00", "Sun,Sat 00:00-24:00 UTC"],
    ["Fri-Mon 08:30-09:00 UTC", "Sun,Mon,Fri,Sat 08:30-09:00 UTC"],
    ["daily 23:00-00:00 Asia/Kolkata", "Daily 23:00-24:00 Asia/Kolkata"],
    ["Mon 22:00-05:00 Europe/Atlantis", undefined],
    ["Mon 22:00-22:00 UTC", undefined],
    ["Mon 25:00-26:00 UTC", undefined],
    ["Mon 10:60-11:00 UTC", undefined],
    ["Mon 24:00-01:00 UTC", undefined],
    ["Someday 10:00-11:00 UTC", undefined],
    ["Mon-Tue-Wed 10:00-11:00 UTC", undefined],
    ["Mon- 10:00-11:00 UTC", undefined],
    [", 10:00-11:00 UTC", undefined],
    ["10:00-11:00", undefined],
    ["", undefined],
    [`Mon ${"1".repeat(10_000)}:00-11:00`, undefined],
  ];
  for (const [text, told] of cases) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      const parsed = parseWindow(text);
      expect(parsed && formatWindow(parsed)).toBe(told);
      if (parsed !== undefined) expect(parseWindow(formatWindow(parsed))).toEqual(parsed);
    });
  }

  test("and a place that has no clock is refused in what a client sends", () => {
    const sent = { days: [1], from: 0, to: 60, timeZone: "Nowhere/At_All" };
    expect(windowSchema.safeParse(sent).success).toBe(false);
  });
});

describe("a window is open", () => {
  test("from its first minute until right before its last", () => {
    const moments = ["2026-11-23T08:59:59Z", "2026-11-23T09:00Z", "2026-11-23T09:59:59Z"];
    expect(openAt("Mon 09:00-10:00", ...moments)).toEqual([false, true, true]);
    expect(openAt("Mon 09:00-10:00", "2026-11-23T10:00Z", "2026-11-24T09:30Z")).toEqual([
      false,
      false,
    ]);
  });

  test("past midnight, on the day after the one that it names", () => {
    const night = "Fri 22:00-05:00";
    const moments = ["2026-11-27T21:59Z", "2026-11-27T22:00Z", "2026-11-28T04:59Z"];
    expect(openAt(night, ...moments)).toEqual([false, true, true]);
    expect(openAt(night, "2026-11-28T05:00Z", "2026-11-28T22:30Z")).toEqual([false, false]);
  });

  test("by the clocks of its place, in winter and in summer", () => {
    const berlin = "Mon 09:00-10:00 Europe/Berlin";
    expect(openAt(berlin, "2026-11-23T08:30Z", "2026-11-23T09:30Z")).toEqual([true, false]);
    expect(openAt(berlin, "2026-07-06T07:30Z", "2026-07-06T08:30Z")).toEqual([true, false]);
  });

  test("not in an hour that summer time skips", () => {
    // On 29 March 2026 clocks in Berlin go from 02:00 to 03:00, at 01:00 UTC.
    const skipped = "Sun 02:00-03:00 Europe/Berlin";
    const night = ["2026-03-29T00:59:59Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"];
    expect(openAt(skipped, ...night)).toEqual([false, false, false]);
  });

  test("twice in an hour that comes twice", () => {
    // On 25 October 2026 clocks in Berlin go from 03:00 back to 02:00, at 01:00 UTC.
    const twice = "Sun 02:00-03:00 Europe/Berlin";
    const night = ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"];
    expect(openAt(twice, ...night)).toEqual([true, true, false]);
  });
});
