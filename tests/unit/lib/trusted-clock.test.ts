import { expect, test } from "bun:test";
import { TrustedClock } from "../../../src/lib/trusted-clock.ts";

const DAY = 86_400_000;
const TODAY = Date.UTC(2026, 10, 25);

/** A machine: its system's clock can be set, its monotonic one only runs. */
function aMachine(systemNow: number, floor = 0) {
  const machine = { system: systemNow, monotonic: 5000, saved: [] as number[] };
  const clock = new TrustedClock({
    system: {
      now: () => machine.system,
      monotonicNow: () => machine.monotonic,
      after: () => ({ cancel: () => {} }),
    },
    floor,
    onFloor: (at) => void machine.saved.push(at),
  });
  const pass = (ms: number) => {
    machine.system += ms;
    machine.monotonic += ms;
  };
  return { machine, clock, pass };
}

test("the system's clock counts while nothing speaks against it", () => {
  const { clock, pass } = aMachine(TODAY, TODAY - DAY);
  pass(1000);
  expect(clock.now()).toBe(TODAY + 1000);
});

test("a clock in 1970 is never below the floor", () => {
  const { clock } = aMachine(10_000, TODAY);
  expect(clock.now()).toBe(TODAY);
});

test("a clock in 1970 follows the server's time, and goes on from there", () => {
  const { clock, pass } = aMachine(10_000, TODAY - 30 * DAY);
  clock.learn(TODAY);
  pass(1500.4);
  expect(clock.now()).toBe(TODAY + 1500);
  expect(Math.round(clock.systemErrorMs)).toBe(10_000 - TODAY);
});

test("a clock five years ahead follows the server's time", () => {
  const { clock, pass } = aMachine(TODAY + 5 * 365 * DAY, TODAY - DAY);
  clock.learn(TODAY);
  pass(2000);
  expect(clock.now()).toBe(TODAY + 2000);
});

test("a small difference is left to the system's clock", () => {
  const { clock } = aMachine(TODAY + 20_000);
  clock.learn(TODAY);
  expect(clock.now()).toBe(TODAY + 20_000);
});

test("a clock that is set right after the server told the time is not corrected twice", () => {
  const { machine, clock, pass } = aMachine(10_000, TODAY - DAY);
  clock.learn(TODAY);
  pass(60_000);
  machine.system = TODAY + 60_000;
  expect(clock.now()).toBe(TODAY + 60_000);
  pass(1000);
  expect(clock.now()).toBe(TODAY + 61_000);
});

test("a clock that is set back falls no lower than what was told", () => {
  const { machine, clock, pass } = aMachine(TODAY, TODAY - DAY);
  clock.learn(TODAY);
  pass(60_000);
  machine.system = 0;
  expect(clock.now()).toBe(TODAY + 60_000);
});

test("a floor from a life that ran ahead goes back to what the server tells", () => {
  const { clock, machine } = aMachine(TODAY, TODAY + 5 * 365 * DAY);
  clock.learn(TODAY);
  expect(clock.now()).toBe(TODAY);
  expect(machine.saved).toEqual([TODAY]);
});

test("the floor is saved once a day at most", () => {
  const { clock, machine, pass } = aMachine(TODAY, TODAY - DAY / 2);
  for (let hour = 0; hour < 48; hour++) {
    clock.learn(machine.system);
    pass(DAY / 24);
  }
  expect(machine.saved).toEqual([TODAY + DAY / 2, TODAY + DAY + DAY / 2]);
});
