import { describe, expect, test } from "bun:test";
import { lineLog, silentLog } from "../../../src/lib/log.ts";
import { Controller, type Outcome } from "../../../src/server/controller.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** A controller that writes down when it looked at what. */
function aController(work: (key: string, now: number) => Promise<Outcome> = async () => ({})) {
  const clock = new VirtualClock(0);
  const looks: string[] = [];
  const said: string[] = [];
  const controller = new Controller<string>({
    name: "test",
    clock,
    log: lineLog(
      (line) => void said.push(line.trim()),
      () => String(clock.now()),
    ),
    work: (key) => {
      looks.push(`${key} at ${clock.now()}`);
      return work(key, clock.now());
    },
  });
  const pass = async (ms: number) => {
    await settled();
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  return { controller, looks, said, pass };
}

describe("a key that is touched", () => {
  test("many times in one turn is looked at once", async () => {
    const { controller, looks, pass } = aController();
    for (const key of ["a", "b", "a", "a"]) controller.touch(key);
    await pass(0);
    expect(looks).toEqual(["a at 0", "b at 0"]);
  });

  test("while it is worked at is looked at once more, after that", async () => {
    const gates: (() => void)[] = [];
    const { controller, looks, pass } = aController(async () => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return {};
    });
    controller.touch("a");
    await pass(0);
    controller.touch("a");
    controller.touch("a");
    await pass(0);
    expect(looks).toHaveLength(1);
    gates.shift()?.();
    await pass(0);
    expect(looks).toHaveLength(2);
    gates.shift()?.();
    await pass(0);
    expect(looks).toHaveLength(2);
  });
});

describe("a look that wants another one later", () => {
  test("gets it then, and not before", async () => {
    const { controller, looks, pass } = aController(async (_, now) =>
      now === 0 ? { wakeAt: 5000 } : {},
    );
    controller.touch("a");
    await pass(4999);
    expect(looks).toEqual(["a at 0"]);
    await pass(10_000);
    expect(looks).toEqual(["a at 0", "a at 5000"]);
  });

  test("forgets that when something touched the key before", async () => {
    const { controller, looks, pass } = aController(async (_, now) =>
      now === 0 ? { wakeAt: 5000 } : {},
    );
    controller.touch("a");
    await pass(1000);
    controller.touch("a");
    await pass(10_000);
    expect(looks).toEqual(["a at 0", "a at 1000"]);
  });

  test("gets it at once when its time has passed", async () => {
    let left = 2;
    const { controller, looks, pass } = aController(async () => (left-- > 0 ? { wakeAt: -5 } : {}));
    controller.touch("a");
    await pass(0);
    expect(looks).toEqual(["a at 0", "a at 0", "a at 0"]);
  });
});

describe("a look that fails", () => {
  test("is taken again after 200 ms, doubling to 30 s", async () => {
    const { controller, looks, pass } = aController(() => Promise.reject(new Error("disk full")));
    controller.touch("a");
    await pass(120_000);
    const times = looks.map((look) => Number(look.split(" ")[2]));
    const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(waits.slice(0, 10)).toEqual([
      200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ]);
  });

  test("does not keep others waiting, and counts afresh once it succeeded", async () => {
    const { controller, looks, pass } = aController((key, now) =>
      key === "a" && now !== 200 ? Promise.reject(new Error("no")) : Promise.resolve({}),
    );
    controller.touch("a");
    controller.touch("b");
    await pass(1000);
    expect(looks).toEqual(["a at 0", "b at 0", "a at 200"]);
    controller.touch("a");
    await pass(250);
    expect(looks.slice(3)).toEqual(["a at 1000", "a at 1200"]);
  });
});

test("a look that fails again and again is told once, and so is that it worked", async () => {
  const { controller, said, pass } = aController((_, now) =>
    now < 100_000 ? Promise.reject(new Error("disk full")) : Promise.resolve({}),
  );
  controller.touch("a");
  await pass(200_000);
  expect(said).toEqual([
    "0 warn  test a is tried again: disk full",
    "111000 info  test a is as it should be again",
  ]);
});

test("a closed controller looks at nothing any more", async () => {
  const { controller, looks, pass } = aController(async () => ({ wakeAt: 100 }));
  controller.touch("a");
  await pass(0);
  controller.close();
  controller.touch("b");
  await pass(1000);
  expect(looks).toEqual(["a at 0"]);
});

describe("looks that take long", () => {
  /** A clock that moves only when a look takes its time; timers run when they are asked to. */
  function aSlowController(tookMs: (key: string) => number) {
    let now = 0;
    const looks: string[] = [];
    const timers = new Set<{ at: number; run: () => void }>();
    const controller = new Controller<string>({
      name: "test",
      log: silentLog,
      clock: {
        now: () => now,
        monotonicNow: () => now,
        after: (delayMs, run) => {
          const timer = { at: now + delayMs, run };
          timers.add(timer);
          return { cancel: () => void timers.delete(timer) };
        },
      },
      work: async (key) => {
        looks.push(`${key} at ${now}`);
        now += tookMs(key);
        return {};
      },
    });
    /** Lets a turn go by, and then time until the next timer. */
    const turn = async () => {
      await settled();
      const [next] = [...timers].sort((a, b) => a.at - b.at);
      if (next === undefined) return;
      timers.delete(next);
      now = Math.max(now, next.at);
      next.run();
      await settled();
    };
    return { controller, looks, turn, timers };
  }

  test("leave the rest of what waits to the next turn", async () => {
    const { controller, looks, turn } = aSlowController(() => 10);
    for (const key of ["a", "b", "c", "d"]) controller.touch(key);
    await settled();
    expect(looks).toEqual(["a at 0", "b at 10", "c at 20"]);
    controller.touch("e");
    await settled();
    expect(looks).toHaveLength(3);
    await turn();
    expect(looks.slice(3)).toEqual(["d at 30", "e at 40"]);
  });

  test("are not followed by one that is as dear, but by cheap ones", async () => {
    const { controller, looks, turn, timers } = aSlowController((key) => (key === "big" ? 10 : 0));
    controller.touch("big");
    await settled();
    controller.touch("big");
    controller.touch("small");
    await settled();
    controller.touch("big");
    await settled();
    expect([looks, timers.size]).toEqual([["big at 0", "small at 10"], 1]);
    await turn();
    expect(looks.slice(2)).toEqual(["big at 50"]);
  });
});
