import { expect, test } from "bun:test";
import { Turns } from "../../../src/server/turns.ts";
import { settled } from "../../sim/virtual-clock.ts";

/** Pieces of work that take 10 ms each, in turns of 20 ms; timers run when they are told to. */
function work() {
  let now = 1000;
  const timers: (() => void)[] = [];
  const done: string[] = [];
  const clock = {
    now: () => now,
    monotonicNow: () => now,
    after: (_delayMs: number, run: () => void) => {
      timers.push(run);
      return { cancel: () => {} };
    },
  };
  const turns = new Turns(clock, 20);
  const piece = (name: string) =>
    turns.run(async () => {
      done.push(name);
      now += 10;
    });
  const turn = async () => {
    timers.shift()?.();
    await settled();
  };
  const pass = (ms: number) => (now += ms);
  return { piece, turn, done, timers, pass };
}

test("what is too much for one turn waits for the next, first come, first served", async () => {
  const { piece, turn, done, timers } = work();
  // Each comes when the one before it is done, as frames of many sockets do.
  for (const name of ["a", "b", "c", "d", "e"]) {
    void piece(name);
    await settled();
  }
  expect(done).toEqual(["a", "b"]);
  await turn();
  expect(done).toEqual(["a", "b", "c", "d"]);
  await turn();
  expect([done.length, timers.length]).toEqual([5, 0]);
});

test("what comes after a while has a turn of its own at once", async () => {
  const { piece, done, pass, timers } = work();
  for (const name of ["a", "b", "c"]) {
    void piece(name);
    await settled();
    pass(100);
  }
  expect([done, timers.length]).toEqual([["a", "b", "c"], 0]);
});
