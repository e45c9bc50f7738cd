import { describe, expect, test } from "bun:test";
import {
  changeLink,
  formatLink,
  isLinkOpen,
  parseLinkWindow,
  parseRate,
} from "../../../src/model/link.ts";

const night = [parseLinkWindow("22:00-06:00")].flatMap((window) => window ?? []);

test("a rate is read in the units that people use", () => {
  const texts = ["2MiB/s", "500kB/s", "10 Mbit/s", "1.5GiB/s", "8KiB/s"];
  expect(texts.map(parseRate)).toEqual([2_097_152, 500_000, 1_250_000, 1_610_612_736, 8192]);
});

test("what is no rate is none", () => {
  const texts = [
    "",
    "2",
    "2MiB",
    "MiB/s",
    "-1MiB/s",
    "0MiB/s",
    "100B/s",
    "2 tib/s",
    "9999999GiB/s",
  ];
  expect(texts.map(parseRate)).toEqual(texts.map(() => undefined));
});

describe("a link", () => {
  test("is open within its windows, and always without any", () => {
    const at = (time: string) => isLinkOpen({ windows: night }, Date.parse(`2026-11-28T${time}Z`));
    expect(["21:59", "22:00", "03:00", "06:00"].map(at)).toEqual([false, true, true, false]);
    expect(isLinkOpen(undefined, 0)).toBe(true);
    expect(isLinkOpen({ bytesPerSecond: 1024 }, 0)).toBe(true);
  });

  test("is changed in what is said of it alone, and is no setting when nothing is left", () => {
    const link = { bytesPerSecond: 2048, windows: night };
    expect(changeLink(link, {})).toEqual(link);
    expect(changeLink(link, { windows: [] })).toEqual({ bytesPerSecond: 2048 });
    expect(changeLink(link, { bytesPerSecond: null })).toEqual({ windows: night });
    expect(changeLink(undefined, { bytesPerSecond: 1024 })).toEqual({ bytesPerSecond: 1024 });
    expect(changeLink(link, { bytesPerSecond: null, windows: [] })).toBeUndefined();
  });

  test("is shown as people say it", () => {
    expect(formatLink({ bytesPerSecond: 2_097_152, windows: night })).toBe(
      "2 MiB/s at most, images ahead of need Daily 22:00-06:00 UTC",
    );
  });
});

test("a window without days is for each day; one that is none is none", () => {
  expect(parseLinkWindow("22:00-06:00 Europe/Berlin")).toMatchObject({
    days: [0, 1, 2, 3, 4, 5, 6],
    timeZone: "Europe/Berlin",
  });
  expect(parseLinkWindow("Sat,Sun 00:00-24:00")).toMatchObject({ days: [0, 6] });
  expect(["", "22-06", "22:00", "25:00-26:00", "each night"].map(parseLinkWindow)).toEqual(
    Array(5).fill(undefined),
  );
});
