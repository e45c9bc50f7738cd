import { expect, test } from "bun:test";
import { systemClock } from "../../../src/lib/clock.ts";

test("the system's clock runs what is due and not what was cancelled", async () => {
  const ran: string[] = [];
  const cancelled = systemClock.after(0, () => ran.push("cancelled"));
  cancelled.cancel();
  const before = systemClock.now();
  await new Promise<void>((done) => {
    systemClock.after(-5, () => ran.push("overdue"));
    systemClock.after(1, done);
  });
  expect(ran).toEqual(["overdue"]);
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
});

test("a delay beyond what the host can count does not fire at once", async () => {
  const ran: string[] = [];
  const far = systemClock.after(2 ** 40, () => ran.push("far"));
  await new Promise<void>((done) => void systemClock.after(2, done));
  far.cancel();
  expect(ran).toEqual([]);
});
