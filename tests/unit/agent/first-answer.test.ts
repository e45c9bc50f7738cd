import { describe, expect, test } from "bun:test";
import { ANSWER_WITHIN_MS, FirstAnswer } from "../../../src/agent/first-answer.ts";
import { anId } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** A task whose ports begin to answer when the test says so. */
function aTaskThatStarts() {
  const clock = new VirtualClock(0);
  const open = new Set<number>();
  const world = { tries: 0, answered: [] as string[] };
  const firstAnswer = new FirstAnswer({
    clock,
    takesConnections: async (_, port) => {
      world.tries += 1;
      return open.has(port);
    },
    onAnswer: (taskId) => world.answered.push(taskId.slice(0, 1)),
  });
  const pass = async (ms: number) => {
    await settled();
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  return { firstAnswer, open, world, pass };
}

describe("a new task", () => {
  test("counts as ready once each of its ports has answered", async () => {
    const { firstAnswer, open, world, pass } = aTaskThatStarts();
    firstAnswer.await(anId("a"), "10.0.0.2", [80, 81]);
    open.add(80);
    await pass(1000);
    expect(world.answered).toEqual([]);
    open.add(81);
    await pass(1000);
    expect(world.answered).toEqual(["a"]);
  });

  test("is not held back for ever by a port on which nothing answers", async () => {
    const { firstAnswer, open, world, pass } = aTaskThatStarts();
    firstAnswer.await(anId("a"), "10.0.0.2", [80, 9229]);
    open.add(80);
    await pass(ANSWER_WITHIN_MS + 1000);
    expect(world.answered).toEqual(["a"]);
    expect(world.tries).toBeLessThan(50);
  });

  test("that ended, or is asked for twice, is tried no further", async () => {
    const { firstAnswer, world, pass } = aTaskThatStarts();
    firstAnswer.await(anId("a"), "10.0.0.2", [80]);
    firstAnswer.await(anId("a"), "10.0.0.2", [80]);
    await settled();
    expect(world.tries).toBe(1);
    firstAnswer.forget(anId("a"));
    await pass(ANSWER_WITHIN_MS * 2);
    expect(world).toEqual({ tries: 1, answered: [] });
  });
});
