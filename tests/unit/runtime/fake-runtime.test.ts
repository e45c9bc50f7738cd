import { describe, expect, test } from "bun:test";
import type { Clock } from "../../../src/lib/clock.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { FakeRuntime } from "../../../src/runtime/fake/fake-runtime.ts";
import { openRuntime } from "../../../src/runtime/open.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import { aTask } from "../../conformance/runtime-task.ts";
import { failureOf } from "../../conformance/runtime-until.ts";

const IMAGE = "localhost/web:1";

/** A clock that stands still until it is told to go on. */
function aClock(): Clock & { advance(ms: number): Promise<void> } {
  let now = 1_000_000;
  let timers: { at: number; run: () => void }[] = [];
  return {
    now: () => now,
    monotonicNow: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) };
    },
    async advance(ms) {
      now += ms;
      const due = timers.filter((timer) => timer.at <= now);
      timers = timers.filter((timer) => timer.at > now);
      for (const timer of due) timer.run();
      // Lets what waited for the timers go on.
      for (let i = 0; i < 10; i++) await Promise.resolve();
    },
  };
}

function aRuntime(clock = aClock()) {
  return { clock, runtime: new FakeRuntime({ clock, random: seededRandom("test") }) };
}

const withLabels = (labels: Record<string, string>) => aTask(IMAGE, {}, { labels });

describe("the fake runtime follows its labels", () => {
  test("a task ends when its label says, by the clock that it was given", async () => {
    const { runtime, clock } = aRuntime();
    const assignment = withLabels({ "orchd.fake/exit-after": "5s", "orchd.fake/exit-code": "2" });
    await runtime.create({ assignment });
    await runtime.start(assignment.taskId);
    await clock.advance(4999);
    expect(await runtime.inspect(assignment.taskId)).toMatchObject({ state: "running" });
    await clock.advance(1);
    expect(await runtime.inspect(assignment.taskId)).toMatchObject({
      state: "exited",
      exitCode: 2,
      startedAt: 1_000_000,
      finishedAt: 1_005_000,
    });
  });

  test("creating and starting fail with the sentence of the label", async () => {
    const { runtime } = aRuntime();
    const bad = withLabels({ "orchd.fake/create-error": "no room" });
    expect((await failureOf(runtime.create({ assignment: bad }))).message).toContain("no room");
    const worse = withLabels({ "orchd.fake/start-error": "no luck" });
    await runtime.create({ assignment: worse });
    expect((await failureOf(runtime.start(worse.taskId))).message).toContain("no luck");
    const missing = withLabels({ "orchd.fake/image-missing": "true" });
    expect(await failureOf(runtime.create({ assignment: missing }))).toMatchObject({
      code: "notFound",
    });
  });

  test("a slow start takes its time", async () => {
    const { runtime, clock } = aRuntime();
    const assignment = withLabels({ "orchd.fake/start-delay": "2s" });
    await runtime.create({ assignment });
    const start = runtime.start(assignment.taskId);
    await clock.advance(1000);
    expect(await runtime.inspect(assignment.taskId)).toMatchObject({ state: "created" });
    await clock.advance(1000);
    await start;
    expect(await runtime.inspect(assignment.taskId)).toMatchObject({ state: "running" });
  });

  test("a label that is misspelt is refused by its name", async () => {
    const { runtime } = aRuntime();
    const assignment = withLabels({ "orchd.fake/exit-aftr": "5s" });
    expect((await failureOf(runtime.create({ assignment }))).message).toContain(
      "orchd.fake/exit-aftr=5s",
    );
    const other = withLabels({ "orchd.fake/exit-after": "soon" });
    expect((await failureOf(runtime.create({ assignment: other }))).message).toContain(
      "orchd.fake/exit-after=soon",
    );
  });
});

describe("the fake runtime does as tests ask", () => {
  test("the next call fails, and the one after that does not", async () => {
    const { runtime } = aRuntime();
    const assignment = aTask(IMAGE);
    runtime.failNext("create");
    expect((await failureOf(runtime.create({ assignment }))).message).toContain(
      "create fails, as was asked for",
    );
    await runtime.create({ assignment });
    expect(await runtime.list()).toHaveLength(1);
  });

  test("while it is away every call fails, and its containers go on", async () => {
    const { runtime, clock } = aRuntime();
    const assignment = withLabels({ "orchd.fake/exit-after": "5s" });
    await runtime.create({ assignment });
    await runtime.start(assignment.taskId);
    runtime.setReachable(false);
    expect(await failureOf(runtime.list())).toMatchObject({ code: "unreachable", retryable: true });
    await clock.advance(5000);
    runtime.setReachable(true);
    expect(await runtime.list()).toMatchObject([{ state: "exited" }]);
  });

  test("the same seed gives the same ids", async () => {
    const assignment = aTask(IMAGE);
    const ids = await Promise.all([1, 2].map(() => aRuntime().runtime.create({ assignment })));
    expect(ids[0]).toBe(ids[1] ?? "");
  });

  test("ten thousand tasks are no burden", async () => {
    const { runtime } = aRuntime();
    const all = Array.from({ length: 10_000 }, () => aTask(IMAGE));
    for (const assignment of all) {
      await runtime.create({ assignment });
      await runtime.start(assignment.taskId);
    }
    expect((await runtime.list()).filter(({ state }) => state === "running")).toHaveLength(10_000);
    for (const { taskId } of all) await runtime.remove(taskId);
    expect(await runtime.list()).toEqual([]);
  });

  test("it is opened by its name", async () => {
    const nodeId = "nnnnnnnnnnnn" as NodeId;
    const random = seededRandom("test");
    const dirs = { runDir: "/none", dataDir: "/none" };
    const own = { nodeId, ...dirs, clock: aClock(), random, sockets: {} };
    const runtime = await openRuntime("fake", own);
    expect(await runtime.info()).toEqual({ name: "fake", version: "1" });
  });
});
