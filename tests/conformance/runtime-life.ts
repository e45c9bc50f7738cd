import { expect } from "bun:test";
import type { TaskId } from "../../src/model/ids.ts";
import type { ContainerStatus } from "../../src/runtime/driver.ts";
import { aTask } from "./runtime-task.ts";
import type { RuntimeLab, Tools } from "./runtime.ts";
import { failureOf, until } from "./runtime-until.ts";

export function stateCases({ lab, create, run, test }: Tools): void {
  const ended = endingOf(lab);

  test("a container is created, runs, ends and is gone, and each state can be seen", async () => {
    const { runtime } = lab();
    const { taskId } = await create({ exitAfterMs: 150, exitCode: 3 });
    const before = await runtime.inspect(taskId);
    expect(before).toMatchObject({ taskId, state: "created" });
    expect(before?.startedAt).toBeUndefined();
    await runtime.start(taskId);
    const running = await runtime.inspect(taskId);
    expect(running).toMatchObject({ taskId, state: "running" });
    expect(running?.exitCode).toBeUndefined();
    const after = await ended(taskId);
    expect(after).toMatchObject({ taskId, state: "exited", exitCode: 3 });
    expect(after.finishedAt).toBeGreaterThanOrEqual(after.startedAt ?? Number.NaN);
    expect(after.outOfMemory).toBeUndefined();
    await runtime.remove(taskId);
    expect(await runtime.inspect(taskId)).toBeUndefined();
    expect(await runtime.list()).toEqual([]);
  });

  test("the list says of every container what inspecting it says", async () => {
    const { runtime } = lab();
    const running = await run();
    const over = await run({ exitAfterMs: 0, exitCode: 1 });
    const { taskId: fresh } = await create();
    await ended(over);
    const listed = await runtime.list();
    expect(listed.map((status) => status.taskId).sort()).toEqual([running, over, fresh].sort());
    for (const status of listed) expect(await runtime.inspect(status.taskId)).toEqual(status);
  });

  test("the list notices a container that has ended since the last list", async () => {
    const { runtime } = lab();
    const taskId = await run();
    expect(await runtime.list()).toMatchObject([{ taskId, state: "running" }]);
    await lab().crash(taskId);
    await ended(taskId);
    expect(await runtime.list()).toMatchObject([{ taskId, state: "exited", exitCode: 137 }]);
  });

  test("what running tasks use is told, and nothing of those that do not run", async () => {
    const { runtime } = lab();
    const [first, second] = [await run(), await run()];
    const over = await run({ exitAfterMs: 0 });
    await ended(over);
    const gone = await run();
    await runtime.remove(gone);
    const usage = await runtime.usage([first, over, second, gone]);
    const running = usage.filter(({ taskId }) => taskId !== over);
    expect(running.map(({ taskId }) => taskId).sort()).toEqual([first, second].sort());
    for (const { cpuMs, memoryBytes } of usage) {
      expect(cpuMs).toBeGreaterThanOrEqual(0);
      expect(memoryBytes).toBeGreaterThanOrEqual(0);
    }
    expect(await runtime.usage([])).toEqual([]);
  });

  test("creating a task's container twice gives the same container", async () => {
    const { runtime } = lab();
    const assignment = await create();
    const first = await runtime.inspect(assignment.taskId);
    expect(await runtime.create({ assignment })).toBe(first?.containerId ?? "none");
    expect(await runtime.list()).toHaveLength(1);
  });
}

export function preparationCases({ lab, create, test }: Tools): void {
  test("what was prepared runs when it is started, or is removed as it is", async () => {
    const { runtime } = lab();
    const { taskId } = await create();
    const { taskId: unused } = await create();
    for (const id of [taskId, unused, taskId]) await runtime.prepare?.(id);
    const listed = await runtime.list();
    expect(listed.map(({ state }) => state)).toEqual(["created", "created"]);
    for (const status of listed) expect(status.startedAt).toBeUndefined();
    await runtime.start(taskId);
    expect(await runtime.inspect(taskId)).toMatchObject({ taskId, state: "running" });
    await runtime.remove(unused);
    expect(await runtime.list()).toMatchObject([{ taskId, state: "running" }]);
  });
}

export function adoptionCases({ lab, create, run, test }: Tools): void {
  test("a new driver object adopts what runs, without starting it again", async () => {
    const { runtime } = lab();
    const assignment = await create();
    await runtime.start(assignment.taskId);
    const before = await runtime.inspect(assignment.taskId);
    const again = await lab().reopen();
    expect(await again.list()).toEqual(before === undefined ? [] : [before]);
    expect(await again.create({ assignment })).toBe(before?.containerId ?? "none");
    expect(await again.inspect(assignment.taskId)).toEqual(before);
    await again.stop(assignment.taskId, 5000);
    expect(await runtime.inspect(assignment.taskId)).toMatchObject({ state: "exited" });
  });

  test("starting a container that runs changes nothing", async () => {
    const { runtime } = lab();
    const taskId = await run();
    const before = await runtime.inspect(taskId);
    await runtime.start(taskId);
    expect(await runtime.inspect(taskId)).toEqual(before);
  });
}

export function stopCases({ lab, create, run, test }: Tools): void {
  test("stop asks politely first, and has ended the container when it returns", async () => {
    const { runtime } = lab();
    const taskId = await run({ prints: ["up"] });
    await firstLine(lab(), taskId);
    await runtime.stop(taskId, 10_000);
    expect(await runtime.inspect(taskId)).toMatchObject({ state: "exited", exitCode: 0 });
  });

  test("stop kills what does not end within its grace period", async () => {
    const { runtime } = lab();
    const taskId = await run({ prints: ["up"], ignoresStop: true });
    await firstLine(lab(), taskId);
    const before = performance.now();
    await runtime.stop(taskId, 1000);
    expect(performance.now() - before).toBeGreaterThan(900);
    expect(await runtime.inspect(taskId)).toMatchObject({ state: "exited", exitCode: 137 });
  });

  test("stopping what has ended already, or never began, changes nothing", async () => {
    const { runtime } = lab();
    const over = await run({ exitAfterMs: 0, exitCode: 4 });
    await endingOf(lab)(over);
    await runtime.stop(over, 1000);
    expect(await runtime.inspect(over)).toMatchObject({ state: "exited", exitCode: 4 });
    const { taskId: fresh } = await create();
    await runtime.stop(fresh, 1000);
    expect((await runtime.inspect(fresh))?.startedAt).toBeUndefined();
  });

  test("what was stopped starts again as it is, and its log goes on", async () => {
    const { runtime } = lab();
    const taskId = await run({ prints: ["up"] });
    const printed = async () => {
      const { signal } = new AbortController();
      const texts: string[] = [];
      const lines = runtime.logs(taskId, { follow: false }, signal);
      for await (const { text } of lines) texts.push(text);
      return texts;
    };
    for (const times of [1, 2]) {
      if (times > 1) await runtime.start(taskId);
      expect(await runtime.inspect(taskId)).toMatchObject({ state: "running" });
      await until("its line", async () => (await printed()).length === times);
      await runtime.stop(taskId, 10_000);
      expect(await runtime.inspect(taskId)).toMatchObject({ state: "exited", exitCode: 0 });
    }
    expect(await printed()).toEqual(["up", "up"]);
  });

  test("remove takes away a running container, and nothing when it is gone", async () => {
    const { runtime } = lab();
    const taskId = await run();
    await runtime.remove(taskId);
    await runtime.remove(taskId);
    expect(await runtime.list()).toEqual([]);
  });
}

export function failureCases({ lab, create, run, test }: Tools): void {
  const ended = endingOf(lab);

  test("a task that is killed for its memory limit is told apart from a crash", async () => {
    const killed = await ended(await run({ outOfMemory: true }));
    expect(killed).toMatchObject({ exitCode: 137, outOfMemory: true });
    const taskId = await run();
    await lab().crash(taskId);
    const crashed = await ended(taskId);
    expect(crashed).toMatchObject({ exitCode: 137 });
    expect(crashed.outOfMemory).toBeUndefined();
  });

  test("a command that the image lacks is one sentence about the command", async () => {
    const { runtime } = lab();
    const { taskId } = await create({ badCommand: "no-such-program" });
    const error = await failureOf(runtime.start(taskId));
    expect(error.code).toBe("runtime");
    expect(error.message).toMatch(
      /^the command "no-such-program" was not found (?:in the image|on the node)$/,
    );
  });

  test("calls for a task without a container say notFound", async () => {
    const { runtime } = lab();
    const { taskId } = aTask(lab().image);
    expect((await failureOf(runtime.start(taskId))).code).toBe("notFound");
    expect((await failureOf(runtime.stop(taskId, 0))).code).toBe("notFound");
    const command = { command: ["true"], tty: false, stdin: false, environment: {} };
    expect((await failureOf(runtime.exec(taskId, command))).code).toBe("notFound");
    expect(await runtime.inspect(taskId)).toBeUndefined();
  });

  test("an image that is not there is told by its name", async () => {
    const assignment = aTask("missing.invalid/web:1");
    const error = await failureOf(lab().runtime.create({ assignment }));
    expect(error.code).toBe("notFound");
    expect(error.message).toContain("missing.invalid/web:1");
  });
}

/** Waits for a task's container to end. */
function endingOf(lab: Tools["lab"]): (taskId: TaskId) => Promise<ContainerStatus> {
  return (taskId) =>
    until("the container's end", async () => {
      const status = await lab().runtime.inspect(taskId);
      return status?.state === "exited" && status;
    });
}

/** Resolves once the task has printed something: its traps are set by then. */
async function firstLine(lab: RuntimeLab, taskId: TaskId): Promise<void> {
  const enough = new AbortController();
  const logs = lab.runtime.logs(taskId, { follow: true }, enough.signal);
  for await (const _ of logs) break;
  enough.abort();
}
