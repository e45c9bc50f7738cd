import { expect } from "bun:test";
import type { RuntimeEvent } from "../../src/runtime/driver.ts";
import type { Tools } from "./runtime.ts";
import { until } from "./runtime-until.ts";

/** A crash has to be noticed within a second, from events and not by looking. */
const NOTICE_MS = 1000;

export function eventCases({ lab, create, run, test }: Tools): void {
  const watching = watcherOf(lab);

  test("events begin with a resync and end when they are given up", async () => {
    await watching(async (seen) => {
      expect(seen[0]).toEqual({ type: "resync" });
    });
  });

  test("a container's start, end and removal are told in order", async () => {
    await watching(async (seen) => {
      const { taskId } = await create({ exitAfterMs: 100 });
      await lab().runtime.start(taskId);
      const of = (type: RuntimeEvent["type"]) =>
        until(`${type} of the task`, () =>
          seen.some(
            (event) => event.type === type && event.type !== "resync" && event.taskId === taskId,
          ),
        );
      await of("exited");
      await lab().runtime.remove(taskId);
      await of("removed");
      const mine = seen.filter((event) => event.type !== "resync" && event.taskId === taskId);
      // An end may be told twice: by the container's monitor, and by the runtime.
      const types = mine
        .map((event) => event.type)
        .filter((type, index, all) => type !== "exited" || all[index - 1] !== "exited");
      expect(types).toEqual(["started", "exited", "removed"]);
    });
  });

  test("a crash is noticed within a second", async () => {
    await watching(async (seen) => {
      const taskId = await run();
      await lab().crash(taskId);
      await until(
        "the crash",
        () => seen.some((event) => event.type === "exited" && event.taskId === taskId),
        NOTICE_MS,
      );
    });
  });

  test("a container that is removed behind our back is told, and gone from the list", async () => {
    await watching(async (seen) => {
      const taskId = await run();
      await lab().removeBehindBack(taskId);
      await until("the removal", () =>
        seen.some((event) => event.type === "removed" && event.taskId === taskId),
      );
      expect(await lab().runtime.inspect(taskId)).toBeUndefined();
      expect(await lab().runtime.list()).toEqual([]);
    });
  });

  test("after the runtime was away everything is still there, and resync is told", async () => {
    await watching(async (seen) => {
      const taskId = await run();
      const before = await lab().runtime.inspect(taskId);
      await lab().interrupt();
      await until("the second resync", () => seen.filter((e) => e.type === "resync").length > 1);
      expect(await lab().runtime.list()).toEqual(before === undefined ? [] : [before]);
      await lab().crash(taskId);
      await until("an event after that", () =>
        seen.some((event) => event.type === "exited" && event.taskId === taskId),
      );
    });
  });
}

type Watched = (use: (seen: RuntimeEvent[]) => Promise<void>) => Promise<void>;

/** Runs `use` with the events as they come in, once the first resync is there. */
function watcherOf(lab: Tools["lab"]): Watched {
  return async (use) => {
    const enough = new AbortController();
    const seen: RuntimeEvent[] = [];
    const reading = (async () => {
      for await (const event of lab().runtime.events(enough.signal)) seen.push(event);
    })();
    try {
      await until("the first resync", () => seen.some(({ type }) => type === "resync"));
      await use(seen);
    } finally {
      enough.abort();
      await reading;
    }
  };
}
