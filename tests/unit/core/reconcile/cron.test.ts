import { describe, expect, test } from "bun:test";
import { dueRuns, LATE_MS, runByHand, SET_BACK_MS } from "../../../../src/core/reconcile/cron.ts";
import { seededRandom, randomBelow } from "../../../../src/lib/random.ts";
import { NO_RUNS, type JobRuns, type Schedule } from "../../../../src/model/job.ts";
import type { Service } from "../../../../src/model/service.ts";
import { aService } from "../../../builders.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A full hour. */
const START = Date.parse("2026-06-01T12:00:00Z");

function aScheduled(over: Partial<Schedule> = {}): Service {
  const schedule: Schedule = {
    cron: "0 * * * *",
    timeZone: "UTC",
    overlap: "skip",
    missed: "once",
    history: 3,
    ...over,
  };
  return aService({ mode: "replicated-job", schedule });
}

/** As many runs as are under way are over. */
function allOver(runs: JobRuns): JobRuns {
  const list = runs.list.map((run) => ({ ...run, result: "complete" as const, finishedAt: 0 }));
  return { ...runs, list };
}

/** The times whose runs begin at `now`, as minutes after the start. */
function begun(service: Service, before: JobRuns, now: number): number[] {
  const { runs } = dueRuns(service, before, now);
  const fresh = runs.list.filter(({ run }) => run > before.count);
  return fresh.map(({ scheduledAt }) => ((scheduledAt ?? 0) - START) / MINUTE).reverse();
}

/** What a service remembers that was looked at first at the start. */
function fromStart(service: Service): JobRuns {
  return dueRuns(service, NO_RUNS, START).runs;
}

describe("times that were missed", () => {
  test("have none of before the service was made", () => {
    const service = aScheduled();
    expect(begun(service, NO_RUNS, START)).toEqual([]);
    expect(dueRuns(service, NO_RUNS, START).wakeAt).toBe(START + HOUR);
  });

  const now = START + 3 * HOUR + 30 * MINUTE;
  const cases: [Partial<Schedule>, number[]][] = [
    [{ missed: "once" }, [180]],
    [{ missed: "skip" }, []],
    // One after the other: the next when this one is over.
    [{ missed: "all" }, [60]],
    [{ missed: "all", overlap: "allow" }, [60]],
    [{ missed: "once", deadlineMs: HOUR }, [180]],
    [{ missed: "once", deadlineMs: MINUTE }, []],
    [{ missed: "all", deadlineMs: 100 * MINUTE }, [120]],
  ];
  for (const [over, expected] of cases) {
    test(`with ${JSON.stringify(over)} have the runs ${expected.join(", ") || "none"}`, () => {
      const service = aScheduled(over);
      expect(begun(service, fromStart(service), now)).toEqual(expected);
    });
  }

  test("are all made up for, in order, and no time twice", () => {
    const service = aScheduled({ missed: "all" });
    let runs = fromStart(service);
    const seen: number[] = [];
    for (let i = 0; i < 10; i++) {
      seen.push(...begun(service, runs, now));
      runs = allOver(dueRuns(service, runs, now).runs);
    }
    expect(seen).toEqual([60, 120, 180]);
  });

  test("are a hundred at most, however long nobody was there", () => {
    const service = aScheduled({ cron: "* * * * *", missed: "all" });
    let runs = fromStart(service);
    let count = 0;
    for (let i = 0; i < 300; i++) {
      count += begun(service, runs, START + 365 * DAY).length;
      runs = allOver(dueRuns(service, runs, START + 365 * DAY).runs);
    }
    // The latest two are no longer missed, and find a run that is under way.
    expect(count).toBe(98);
  });

  test("that are a moment late are not missed", () => {
    const service = aScheduled({ missed: "skip" });
    const before = fromStart(service);
    expect(begun(service, before, START + HOUR + LATE_MS)).toEqual([60]);
    expect(begun(service, before, START + HOUR + LATE_MS + 1)).toEqual([]);
  });
});

describe("a clock that is set", () => {
  test("forth by a day makes one run", () => {
    const service = aScheduled({ cron: "*/5 * * * *" });
    expect(begun(service, fromStart(service), START + DAY)).toEqual([1440]);
  });

  test("back by a day goes on at once by the new time", () => {
    const service = aScheduled({ cron: "*/5 * * * *" });
    const before = allOver(dueRuns(service, fromStart(service), START + DAY).runs);
    const back = dueRuns(service, before, START);
    expect(back.wakeAt).toBe(START + 5 * MINUTE);
    expect(begun(service, back.runs, START + 5 * MINUTE)).toEqual([5]);
    expect(begun(service, back.runs, START)).toEqual([]);
  });

  test("back to 1970 and forth again, without a clock battery, makes no time count twice", () => {
    const service = aScheduled({ cron: "0 3 * * *" });
    const at3 = Date.parse("2026-06-02T03:00:00Z");
    let runs = allOver(dueRuns(service, fromStart(service), at3).runs);
    expect(runs.count).toBe(1);
    for (const minute of [0, 1, 2]) runs = dueRuns(service, runs, minute * MINUTE).runs;
    expect(begun(service, runs, at3 + HOUR)).toEqual([]);
    expect(begun(service, runs, at3 + DAY)).toHaveLength(1);
  });

  test("back by a day, and by another one, makes no time count twice on its way forth", () => {
    const service = aScheduled({ cron: "*/5 * * * *" });
    let runs = fromStart(service);
    let now = START;
    const times = [0, -DAY, 0, -DAY, DAY - 12 * MINUTE, DAY].flatMap((jump) => {
      now += jump + 6 * MINUTE;
      const minutes = begun(service, runs, now);
      runs = allOver(dueRuns(service, runs, now).runs);
      return minutes;
    });
    expect(times).toEqual([5, -1425, 20]);
  });

  test("forth by a day and back a moment later makes no time count twice", () => {
    const service = aScheduled({ cron: "*/5 * * * *" });
    let runs = allOver(dueRuns(service, fromStart(service), START + 5 * MINUTE).runs);
    for (const minutes of [6, 11]) {
      runs = allOver(dueRuns(service, runs, START + DAY + minutes * MINUTE).runs);
    }
    expect(runs.count).toBe(3);
    const back = dueRuns(service, runs, START + 4 * MINUTE);
    expect(back.wakeAt).toBe(START + 10 * MINUTE);
    expect(begun(service, back.runs, START + 6 * MINUTE)).toEqual([]);
    expect(begun(service, back.runs, START + 10 * MINUTE)).toEqual([10]);
  });

  test("back by less than three hours waits until the time is reached again", () => {
    const service = aScheduled({ cron: "*/5 * * * *" });
    const before = allOver(dueRuns(service, fromStart(service), START + DAY).runs);
    const back = START + DAY - SET_BACK_MS;
    expect(begun(service, before, back + 5 * MINUTE)).toEqual([]);
    expect(dueRuns(service, before, back).wakeAt).toBe(START + DAY + 5 * MINUTE);
  });
});

test("whatever clocks do, a look begins few runs, no time has two, and there is a next", () => {
  for (let seed = 0; seed < 15; seed++) {
    const random = seededRandom(`cron-${seed}`);
    const missed = (["once", "skip", "all"] as const)[randomBelow(random, 3)] ?? "once";
    const overlap = (["allow", "skip", "replace"] as const)[randomBelow(random, 3)] ?? "skip";
    const service = aScheduled({ cron: "*/5 * * * *", missed, overlap });
    let now = START;
    let runs = fromStart(service);
    let until = runs.handled?.until ?? 0;
    for (let i = 0; i < 100; i++) {
      const jump = randomBelow(random, 10);
      now += jump === 0 ? DAY : jump === 1 ? -DAY : randomBelow(random, 6 * MINUTE);
      const isNew = now > until;
      const before = runs.count;
      const due = dueRuns(service, runs, now);
      const fresh = due.runs.list.filter(({ run }) => run > before);
      expect(fresh.length).toBeLessThanOrEqual(2);
      const times = fresh.map(({ scheduledAt = 0 }) => scheduledAt);
      expect(new Set(times).size).toBe(times.length);
      if (isNew) expect(times.every((at) => at > until && at <= now)).toBe(true);
      expect(due.runs.handled?.until).toBeGreaterThanOrEqual(until);
      until = due.runs.handled?.until ?? 0;
      if (due.wakeAt !== undefined)
        expect(due.wakeAt).toBeLessThanOrEqual(now + SET_BACK_MS + HOUR);
      else expect(due.runs.list.some(({ result }) => result === undefined)).toBe(true);
      runs = randomBelow(random, 3) > 0 ? allOver(due.runs) : due.runs;
      runs = { ...runs, list: runs.list.slice(0, 20) };
    }
  }
});

test("a run by hand is refused beside one that is under way, where none may overlap", () => {
  const service = aScheduled();
  const asked = runByHand(service, START);
  if ("problem" in asked) throw new Error(asked.problem);
  expect(asked.runs.count).toBe(1);
  const again = runByHand({ ...service, runs: asked.runs }, START);
  expect(again).toEqual({
    problem: "run 1 is not over, and its schedule lets no two run at once",
  });
});
