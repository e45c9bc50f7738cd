import { expect, test } from "bun:test";
import { Executor, type ExecutorOptions } from "../../../src/agent/executor.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { anId } from "../../builders.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

/** What an executor asks of the runtime, and what becomes of names and rules, in their order. */
function aRig(withdraw: () => Promise<void>) {
  const happened: string[] = [];
  const runtime: Partial<Runtime> = {
    stop: async () => void happened.push("gets its signal"),
    remove: async () => void happened.push("is removed"),
    inspect: async () => undefined,
  };
  const options: Partial<ExecutorOptions> = {
    clock: new VirtualClock(0),
    runtime: runtime as Runtime,
    containers: {
      delete: () => {},
      refresh: async () => {},
    } as unknown as ExecutorOptions["containers"],
    grants: { release: () => {} } as unknown as ExecutorOptions["grants"],
    ports: { release: async () => {} } as unknown as ExecutorOptions["ports"],
    withdraw: async () => {
      await withdraw();
      happened.push("is out of all tables");
    },
  };
  return { happened, executor: new Executor(options as ExecutorOptions) };
}

test("a task is out of names and rules before its signal, even if that takes long", async () => {
  const applied = Promise.withResolvers<void>();
  const { happened, executor } = aRig(() => applied.promise);
  const stopped = executor.stop(anId("t"), 500);
  await Promise.resolve();
  expect(happened).toEqual([]);
  applied.resolve();
  await stopped;
  expect(happened).toEqual(["is out of all tables", "gets its signal"]);
});

test("a task is out of names and rules before its container goes", async () => {
  const { happened, executor } = aRig(async () => {});
  await executor.remove(anId("t"));
  expect(happened).toEqual(["is out of all tables", "is removed"]);
});
