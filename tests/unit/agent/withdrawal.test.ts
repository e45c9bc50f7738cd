import { expect, test } from "bun:test";
import { Withdrawal } from "../../../src/agent/withdrawal.ts";
import { anId } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

/** When a task is withdrawn, and what happened by then; others lead packets to `known` alone. */
async function withdrawn(name: string): Promise<[ms: number, happened: string[]]> {
  const clock = new VirtualClock(0);
  const happened: string[] = [];
  const withdrawal = new Withdrawal({
    clock,
    tables: () => ({
      isLedTo: (id) => id === anId("known") && !withdrawal.ids.has(id),
      keepUp: async () => void happened.push(`own tables without ${withdrawal.ids.size}`),
    }),
  });
  const over = withdrawal.withdraw(anId(name)).then(() => clock.now());
  await settled();
  while (await clock.step(60_000));
  return [await over, happened];
}

test("a task that others lead packets to waits until they do so no more", async () => {
  expect(await withdrawn("known")).toEqual([500, ["own tables without 1"]]);
});

test("a task that nobody leads packets to need not wait", async () => {
  expect(await withdrawn("alone")).toEqual([0, ["own tables without 1"]]);
});

test("a task without a network need not wait either, and is forgotten when gone", async () => {
  const withdrawal = new Withdrawal({ clock: new VirtualClock(0), tables: () => undefined });
  await withdrawal.withdraw(anId("a"));
  expect(withdrawal.ids.size).toBe(1);
  withdrawal.forget(anId("a"));
  expect(withdrawal.ids.size).toBe(0);
});
