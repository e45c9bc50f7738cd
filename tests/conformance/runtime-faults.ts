import { expect } from "bun:test";
import { OrchdError } from "../../src/lib/errors.ts";
import type { Assignment } from "../../src/model/assignment.ts";
import type { Runtime, RuntimeEvent } from "../../src/runtime/driver.ts";
import type { RuntimeLab, Tools } from "./runtime.ts";
import { failureOf, until } from "./runtime-until.ts";
import type { Wire } from "./runtime-wire.ts";

/** Against what hangs: a task is made and removed for each call that a driver makes. */
const CRASHES_MS = 180_000;

/** What is done, and answered as an error. */
export function lostAnswerCases({ lab, assign, run, test }: Tools): void {
  test("whatever answer is lost, a task is made once, starts once, and is gone at last", () =>
    disturbed(lab(), async (runtime, wire) => {
      const assignment = assign({ prints: ["begun"], exitAfterMs: 0, exitCode: 3 });
      const { taskId } = assignment;
      await despite(wire, () => runtime.create({ assignment }));
      expect(await runtime.list()).toMatchObject([{ taskId, state: "created" }]);
      await despite(wire, () => runtime.start(taskId));
      const isOver = async () => (await runtime.inspect(taskId))?.state === "exited";
      await until("its end", isOver);
      await despite(wire, () => runtime.stop(taskId, 1000));
      expect(await runtime.list()).toMatchObject([{ taskId, state: "exited", exitCode: 3 }]);
      const texts: string[] = [];
      const { signal } = new AbortController();
      for await (const { text } of runtime.logs(taskId, { follow: true }, signal)) texts.push(text);
      expect(texts).toEqual(["begun"]);
      await despite(wire, () => runtime.remove(taskId));
      expect(await runtime.list()).toEqual([]);
      expect(await lab().runtime.list()).toEqual([]);
    }));

  test("whatever answer is lost, a task that runs is stopped, or removed as it is", () =>
    disturbed(lab(), async (runtime, wire) => {
      const [stopped, removed] = [await run(), await run()];
      await despite(wire, () => runtime.stop(stopped, 10_000));
      expect(await runtime.inspect(stopped)).toMatchObject({ state: "exited" });
      await despite(wire, () => runtime.remove(removed));
      expect(await runtime.list()).toMatchObject([{ taskId: stopped }]);
    }));
}

/** What an orchd that is killed after any of its calls leaves to the next one. */
export function crashCases({ lab, assign, create, test }: Tools): void {
  const isUp = () =>
    lab()
      .runtime.list()
      .then(Boolean, () => false);

  test(
    "killed between any two calls of a start it leaves only what the next one knows",
    () =>
      cutOff(lab(), {
        given: () => Promise.resolve(assign()),
        use: async (runtime, assignment) => {
          await runtime.create({ assignment });
          await runtime.start(assignment.taskId);
        },
        takeOver: async (next, assignment) => {
          await next.create({ assignment });
          await next.start(assignment.taskId);
          expect(await next.list()).toMatchObject([{ state: "running" }]);
        },
      }),
    CRASHES_MS,
  );

  test(
    "killed between any two calls of a removal it leaves nothing either",
    () =>
      cutOff(lab(), {
        given: async () => {
          const assignment = await create();
          await lab().runtime.start(assignment.taskId);
          return assignment;
        },
        use: (runtime, { taskId }) => runtime.remove(taskId),
      }),
    CRASHES_MS,
  );

  test("begun anew, as its runtime was, it adopts what runs, which has gone on", async () => {
    const { taskId } = await create();
    await lab().runtime.start(taskId);
    const before = await lab().runtime.inspect(taskId);
    await lab().interrupt();
    await until("the runtime", isUp);
    const next = await lab().reopen();
    expect(await next.list()).toEqual(before === undefined ? [] : [before]);
    await next.stop(taskId, 5000);
    expect(await next.inspect(taskId)).toMatchObject({ state: "exited" });
  });
}

/** A runtime that is not there for a while, or says nothing. */
export function outageCases({ lab, assign, run, test }: Tools): void {
  test("a runtime that is away is told by every call, and what runs is there afterwards", () =>
    disturbed(lab(), async (runtime, wire) => {
      const taskId = await run();
      const before = await runtime.inspect(taskId);
      const assignment = assign();
      const command = { command: ["true"], tty: false, stdin: false, environment: {} };
      await wire.cut();
      const calls: Record<string, () => Promise<unknown>> = {
        list: () => runtime.list(),
        inspect: () => runtime.inspect(taskId),
        create: () => runtime.create({ assignment }),
        start: () => runtime.start(taskId),
        stop: () => runtime.stop(taskId, 0),
        remove: () => runtime.remove(taskId),
        exec: () => runtime.exec(taskId, command),
      };
      for (const [name, call] of Object.entries(calls)) {
        const { code, retryable } = await failureOf(call());
        expect({ name, code, retryable }).toEqual({ name, code: "unreachable", retryable: true });
      }
      await wire.mend();
      await until("the runtime", () => runtime.list().then(Boolean, () => false));
      expect(await runtime.list()).toEqual(before === undefined ? [] : [before]);
    }));

  test("a runtime that hangs for a while has then done what it was asked for, once", () =>
    disturbed(lab(), async (runtime, wire) => {
      const assignment = assign();
      const { taskId } = assignment;
      for (const call of [
        () => runtime.create({ assignment }),
        () => runtime.start(taskId),
        () => runtime.remove(taskId),
      ]) {
        wire.hold();
        const done = call();
        await until("a call on its way", () => wire.holds);
        wire.release();
        await done;
      }
      expect(await runtime.list()).toEqual([]);
    }));

  test("what happened while no events came is there after the resync that follows", () =>
    disturbed(lab(), async (runtime, wire) => {
      const taskId = await run();
      await runtime.list();
      const enough = new AbortController();
      const seen: RuntimeEvent[] = [];
      const reading = (async () => {
        for await (const event of runtime.events(enough.signal)) seen.push(event);
      })();
      const resyncs = () => seen.filter(({ type }) => type === "resync").length;
      await until("the first resync", () => resyncs() === 1);
      await wire.cut();
      await lab().crash(taskId);
      await until("its end", async () => {
        return (await lab().runtime.inspect(taskId))?.state === "exited";
      });
      await wire.mend();
      await until("the second resync", () => resyncs() === 2);
      expect(await runtime.list()).toMatchObject([{ taskId, state: "exited", exitCode: 137 }]);
      enough.abort();
      await reading;
    }));
}

/** What others do to containers. */
export function strangerCases({ lab, assign, create, test }: Tools): void {
  test("a container that vanished is told by every call on it, and can be made anew", async () => {
    const { runtime } = lab();
    const assignment = await create();
    const { taskId } = assignment;
    await lab().removeBehindBack(taskId);
    const command = { command: ["true"], tty: false, stdin: false, environment: {} };
    for (const call of [
      () => runtime.start(taskId),
      () => runtime.stop(taskId, 0),
      () => runtime.exec(taskId, command),
    ]) {
      expect((await failureOf(call())).code).toBe("notFound");
    }
    await runtime.remove(taskId);
    await runtime.create({ assignment });
    await runtime.start(taskId);
    expect(await runtime.list()).toMatchObject([{ taskId, state: "running" }]);
  });

  test("a stranger's container that has our name is in the way, and is left alone", async () => {
    const { runtime } = lab();
    const assignment = assign();
    const stranger = await lab().stranger(assignment);
    try {
      expect(await runtime.list()).toEqual([]);
      const error = await failureOf(runtime.create({ assignment }));
      expect(error.code).toBe("conflict");
      expect(error.message).toMatch(/^a container named \S+ .* is in the way; remove/);
      await runtime.remove(assignment.taskId);
      expect(await stranger.isThere()).toBe(true);
    } finally {
      await stranger.remove();
    }
    await runtime.create({ assignment });
    await runtime.remove(assignment.taskId);
  });
}

interface CutOff {
  given: () => Promise<Assignment>;
  use: (runtime: Runtime, assignment: Assignment) => Promise<void>;
  takeOver?: (next: Runtime, assignment: Assignment) => Promise<void>;
}

/** Cuts `use` off after its nth call, for every n, and has another driver take over. */
async function cutOff(lab: RuntimeLab, { given, use, takeOver }: CutOff): Promise<void> {
  let wasLost: boolean;
  let nth = 1;
  do {
    const assignment = await given();
    wasLost = await disturbed(lab, async (runtime, wire) => {
      wire.loseAnswer(nth++);
      await use(runtime, assignment).catch(expectLost);
      return wire.hasLost;
    });
    const next = await lab.reopen();
    const known = (await next.list()).map(({ taskId }) => taskId);
    expect(await lab.remains()).toEqual(known);
    await takeOver?.(next, assignment);
    await next.remove(assignment.taskId);
    expect(await lab.remains()).toEqual([]);
  } while (wasLost);
}

/** Runs `use` with a driver of its own, whose way to the runtime can be disturbed. */
async function disturbed<T>(
  lab: RuntimeLab,
  use: (runtime: Runtime, wire: Wire) => Promise<T>,
): Promise<T> {
  const way = await lab.wired();
  try {
    return await use(way.runtime, way.wire);
  } finally {
    await way.close();
  }
}

/** A failure that the loss of an answer explains. */
function expectLost(error: unknown): void {
  if (!(error instanceof OrchdError) || !error.retryable) throw error;
}

/** Has a call tried again until it loses no answer, each time with the loss of a later one. */
async function despite(wire: Wire, call: () => Promise<unknown>): Promise<void> {
  for (let nth = 1; ; nth++) {
    wire.loseAnswer(nth);
    try {
      await call();
      if (!wire.hasLost) break;
    } catch (error) {
      expectLost(error);
    }
  }
  wire.loseAnswer(0);
}
