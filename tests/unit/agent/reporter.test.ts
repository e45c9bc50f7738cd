import { describe, expect, test } from "bun:test";
import { Reporter } from "../../../src/agent/reporter.ts";
import { lineLog } from "../../../src/lib/log.ts";
import type { TaskState, TaskStatus } from "../../../src/model/task.ts";
import { aStatus } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** A reporter with a disk and a server that can be out of order. */
function aReporter() {
  const clock = new VirtualClock(0);
  const world = {
    full: false,
    away: false,
    saved: [] as string[],
    sent: [] as string[],
    said: [] as string[],
  };
  const told = (statuses: TaskStatus[]) =>
    statuses.map((s) => `${s.taskId[0]} ${s.state}`).join(", ");
  const reporter = new Reporter({
    clock,
    log: lineLog(
      (line) => void world.said.push(line.trim()),
      () => String(clock.now()),
    ),
    save: (statuses) => {
      if (world.full) throw new Error("the disk is full");
      world.saved.push(told(statuses));
    },
    send: async (statuses) => {
      if (world.away) throw new Error("the server is away");
      world.sent.push(told(statuses));
    },
  });
  const pass = async (ms: number) => {
    await settled();
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  const report = (name: string, state: TaskState) => reporter.report(aStatus(name, { state }));
  return { reporter, world, pass, report };
}

describe("statuses", () => {
  test("of one moment travel together, the latest of each task", async () => {
    const { world, pass, report } = aReporter();
    report("a", "preparing");
    report("b", "running");
    report("a", "starting");
    await pass(0);
    expect(world.sent).toEqual(["a starting, b running"]);
  });

  test("reach the disk once they say that a task runs, or how it ended", async () => {
    const { world, pass, report } = aReporter();
    for (const state of ["preparing", "starting", "running", "failed"] as const) {
      report("a", state);
      await pass(0);
    }
    expect(world.saved).toEqual(["a running", "a failed"]);
  });

  test("wait for a server that is away, and older ones do not overtake newer ones", async () => {
    const { world, pass, report } = aReporter();
    world.away = true;
    report("a", "running");
    report("b", "running");
    await pass(0);
    report("a", "failed");
    world.away = false;
    await pass(1000);
    expect(world.sent).toEqual(["a failed, b running"]);
  });

  test("reach the disk at once also while the server is away", async () => {
    const { world, pass, report } = aReporter();
    world.away = true;
    report("a", "running");
    await pass(0);
    report("b", "running");
    await pass(0);
    expect(world.saved).toEqual(["a running", "b running"]);
  });

  test("wait for room on the disk without keeping the server waiting", async () => {
    const { world, pass, report } = aReporter();
    world.full = true;
    report("a", "running");
    await pass(500);
    expect([world.saved, world.sent]).toEqual([[], ["a running"]]);
    world.full = false;
    await pass(1000);
    expect(world.saved).toEqual(["a running"]);
  });

  test("that wait for long are told of once, and when they wait no more", async () => {
    const { world, pass, report } = aReporter();
    world.full = true;
    world.away = true;
    report("a", "running");
    await pass(60_500);
    world.full = false;
    world.away = false;
    await pass(1000);
    expect(world.said).toEqual([
      "0 error statuses are not on disk yet: the disk is full",
      "0 warn  statuses wait for the server: the server is away",
      "61000 info  statuses are on disk again",
      "61000 info  the server takes statuses again",
    ]);
  });

  test("that are not on disk yet get there when the agent stops", async () => {
    const { reporter, world, report } = aReporter();
    report("a", "running");
    reporter.close();
    expect(world.saved).toEqual(["a running"]);
  });
});
