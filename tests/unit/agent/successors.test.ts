import { describe, expect, test } from "bun:test";
import { aContainer, anAssignment, anId, aSpec } from "../../builders.ts";
import { Rig } from "./rig.ts";

const { restart } = aSpec();
const task = (name: string, over: Parameters<typeof anAssignment>[1] = {}) =>
  anAssignment(name, {
    container: aContainer({ image: "steady:1", networkMode: "none", stopGraceMs: 500 }),
    restart,
    ...over,
  });

/** A node with task t running, and no server from here on. */
async function aLoneNode(over: Parameters<typeof anAssignment>[1] = {}): Promise<Rig> {
  const rig = new Rig();
  await rig.start();
  await rig.assign(task("t", over));
  rig.isLed = false;
  rig.events?.onLost();
  return rig;
}

function crash(rig: Rig, name = "t", exitCode = 1): void {
  const container = rig.container(name);
  if (container === undefined) throw new Error(`there is no container of ${name}`);
  rig.machine.exit(container, exitCode);
}

function runningOn(rig: Rig): string[] {
  const containers = [...rig.machine.containers.values()];
  return containers.filter(({ state }) => state === "running").map(({ taskId }) => taskId);
}

describe("a node without a server", () => {
  test("starts a task that crashed again, as a new task, after the policy's wait", async () => {
    const rig = await aLoneNode();
    crash(rig);
    await rig.pass(restart.delayMs - 100);
    expect(runningOn(rig)).toEqual([]);
    await rig.pass(5000);
    const [successor, ...more] = runningOn(rig);
    expect(more).toEqual([]);
    expect(successor).not.toBe(anId("t"));
    expect(rig.container("t")?.state).toBe("exited");
  });

  test("waits longer after each crash", async () => {
    const rig = await aLoneNode();
    const startedAt: number[] = [];
    crash(rig);
    for (let i = 0; i < 4; i++) {
      const endedAt = rig.clock.now();
      while (runningOn(rig).length === 0) await rig.pass(100);
      startedAt.push(rig.clock.now() - endedAt);
      crash(rig, runningOn(rig)[0]);
    }
    const doubled = [1, 2, 4, 8].map((factor) => factor * restart.delayMs);
    for (const [i, waited] of startedAt.entries()) {
      expect(waited).toBeWithin((doubled[i] ?? 0) - 200, (doubled[i] ?? 0) + 600);
    }
  });

  test("keeps no more than the task that the server knows and the one that runs", async () => {
    const rig = await aLoneNode();
    crash(rig);
    for (let i = 0; i < 3; i++) {
      while (runningOn(rig).length === 0) await rig.pass(500);
      crash(rig, runningOn(rig)[0]);
    }
    await rig.pass(60_000);
    expect(rig.machine.containers.size).toBe(2);
    expect(rig.disk.set?.assignments).toHaveLength(2);
  });

  test("brings its tasks back after its power was cut", async () => {
    const rig = await aLoneNode();
    rig.kill();
    for (const container of [...rig.machine.containers.values()]) rig.machine.exit(container, 137);
    await rig.start();
    await rig.pass(10_000);
    expect(runningOn(rig)).toHaveLength(1);
  });

  test("goes on with what it made itself after one more power cut", async () => {
    const rig = await aLoneNode();
    crash(rig);
    await rig.pass(5000);
    rig.kill();
    for (const container of [...rig.machine.containers.values()]) rig.machine.exit(container, 137);
    await rig.start();
    await rig.pass(10_000);
    expect(runningOn(rig)).toHaveLength(1);
    expect(rig.agent?.successors()).toHaveLength(1);
    expect(rig.agent?.successors()[0]?.predecessor).toBe(anId("t"));
  });

  for (const [title, over, exitCode] of [
    ["whose policy is none", { restart: { ...restart, condition: "none" } }, 1],
    ["that has done its work", { restart: { ...restart, condition: "on-failure" } }, 0],
    ["that was told to end", { desired: "shutdown" }, 0],
  ] as const) {
    test(`does not start a task again ${title}`, async () => {
      const rig = await aLoneNode(over);
      if (rig.container("t")?.state === "running") crash(rig, "t", exitCode);
      await rig.pass(600_000);
      expect(runningOn(rig)).toEqual([]);
    });
  }

  test("tries nothing again that never started and is bound to where it starts first", async () => {
    for (const [unbound, tries] of [
      [true, 0],
      [false, 1],
    ] as const) {
      const container = aContainer({ image: "broken:1", networkMode: "none" });
      const rig = await aLoneNode({ unbound, container });
      await rig.pass(10_000);
      const made = rig.disk.set?.assignments.filter(({ predecessor }) => predecessor !== undefined);
      expect(made).toHaveLength(tries);
    }
  });

  test("goes on with what started, though its server did not know of that yet", async () => {
    const rig = await aLoneNode({ unbound: true });
    for (let i = 0; i < 3; i++) {
      while (runningOn(rig).length === 0) await rig.pass(500);
      crash(rig, runningOn(rig)[0]);
    }
    await rig.pass(60_000);
    expect(runningOn(rig)).toHaveLength(1);
  });

  test("gives up when the policy's attempts are used", async () => {
    const rig = await aLoneNode({ restart: { ...restart, maxAttempts: 1 } });
    crash(rig);
    await rig.pass(10_000);
    crash(rig, runningOn(rig)[0]);
    await rig.pass(600_000);
    expect(runningOn(rig)).toEqual([]);
  });

  test("ends a job's task at its deadline, and tries nothing again after it", async () => {
    const never = await aLoneNode();
    const rig = await aLoneNode({ endsAt: never.clock.now() + 100_000 });
    await rig.pass(95_000);
    expect(runningOn(rig)).toEqual([anId("t")]);
    await rig.pass(10_000);
    expect(runningOn(rig)).toEqual([]);
    const over = rig.disk.statuses.get(anId("t"));
    expect(over).toMatchObject({ state: "failed", message: "its job's time is over" });
    await rig.pass(600_000);
    expect(runningOn(rig)).toEqual([]);
  });

  test("tries again only what can begin before its deadline", async () => {
    const { clock } = await aLoneNode();
    const rig = await aLoneNode({ endsAt: clock.now() + restart.delayMs - 1 });
    crash(rig);
    await rig.pass(600_000);
    expect(runningOn(rig)).toEqual([]);
  });

  test("does nothing by itself on a full disk, and all of it when there is room", async () => {
    const rig = await aLoneNode();
    crash(rig);
    await rig.pass(10);
    rig.diskIsFull = true;
    await rig.pass(30_000);
    expect(runningOn(rig)).toEqual([]);
    rig.diskIsFull = false;
    await rig.pass(10_000);
    expect(runningOn(rig)).toHaveLength(1);
  });
});

describe("a node whose server is back", () => {
  test("tells what it made and how the task before it ended", async () => {
    const rig = await aLoneNode();
    crash(rig, "t", 7);
    await rig.pass(5000);
    const [told] = rig.agent?.successors() ?? [];
    expect(told).toMatchObject({
      predecessor: anId("t"),
      ended: { taskId: anId("t"), state: "failed", exitCode: 7 },
      failures: 1,
    });
  });

  test("does not touch what it made when the server has taken it up", async () => {
    const rig = await aLoneNode();
    crash(rig);
    await rig.pass(5000);
    const [successor] = rig.agent?.successors() ?? [];
    if (successor === undefined) throw new Error("nothing was made");
    rig.isLed = true;
    rig.events?.onResume();
    const { taskId } = successor;
    const before = rig.machine.containers.get(taskId)?.startedAt;
    await rig.assign(task("t", { state: "failed" }), task("x", { taskId, state: "assigned" }));
    expect(runningOn(rig)).toEqual([taskId]);
    expect(rig.machine.containers.get(taskId)?.startedAt).toBe(before);
    expect(rig.agent?.successors()).toEqual([]);
  });

  test("removes what the server does not want", async () => {
    const rig = await aLoneNode();
    crash(rig);
    await rig.pass(5000);
    rig.isLed = true;
    rig.events?.onResume();
    await rig.assign();
    expect(rig.machine.containers.size).toBe(0);
  });

  test("leaves it to the server to restart what ends from then on", async () => {
    const rig = await aLoneNode();
    rig.isLed = true;
    rig.events?.onResume();
    crash(rig);
    await rig.pass(60_000);
    expect(runningOn(rig)).toEqual([]);
  });
});
