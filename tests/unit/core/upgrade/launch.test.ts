import { describe, expect, test } from "bun:test";
import {
  beginTrial,
  endTrial,
  type LaunchFacts,
  planLaunch,
  slotFor,
} from "../../../../src/core/upgrade/launch.ts";
import { type Place, type Slots, TRIAL_ATTEMPTS_MAX } from "../../../../src/model/slots.ts";

const content = (version: string) => ({
  version,
  digest: `sha256:${"0".repeat(64)}`,
  sizeBytes: 10,
});
const INSTALLED: Slots = {
  format: 1,
  installed: { path: "/usr/local/bin/orchd", sizeBytes: 10, modifiedAt: 1 },
  active: "installed",
  former: "installed",
};
const UPGRADED: Slots = { ...INSTALLED, active: "a", a: content("2.0.0") };
const order = { id: "u1", slot: "b", withinMs: 1000, content: content("3.0.0") } as const;
const TRYING = beginTrial(UPGRADED, order);

function facts(self: Place | "other", more: Partial<LaunchFacts> = {}): LaunchFacts {
  return { self, whole: new Set<Place>(["a", "b"]), ...more };
}
const launchOf = (slots: Slots, given: LaunchFacts) => planLaunch(slots, given).launch;

describe("an executable that starts", () => {
  test("runs where nothing was ever upgraded", () => {
    expect(launchOf(INSTALLED, facts("installed"))).toEqual({ type: "run" });
  });

  test("becomes the one that was upgraded to, and that one runs", () => {
    expect(launchOf(UPGRADED, facts("installed"))).toEqual({ type: "become", place: "a" });
    expect(launchOf(UPGRADED, facts("a"))).toEqual({ type: "run" });
  });

  test("runs itself when people put it in the place of the installed one", () => {
    for (const slots of [UPGRADED, TRYING]) {
      expect(planLaunch(slots, facts("other"))).toEqual({ slots, launch: { type: "run" } });
    }
  });

  test("becomes none that is spoilt, but what ran before it, and at last the installed one", () => {
    const twice: Slots = { ...UPGRADED, active: "b", former: "a", b: content("3.0.0") };
    const only = (place: Place) => facts("installed", { whole: new Set([place]) });
    expect(launchOf(twice, only("a"))).toEqual({ type: "become", place: "a" });
    const none = { whole: new Set<Place>() };
    expect(launchOf(twice, facts("installed", none))).toEqual({ type: "run" });
    expect(launchOf(twice, facts("a", none))).toEqual({ type: "become", place: "installed" });
  });
});

describe("a new executable", () => {
  test("is tried by whichever one starts first, and each try is counted before it", () => {
    for (const self of ["installed", "a"] as const) {
      const { slots, launch } = planLaunch(TRYING, facts(self));
      expect(launch).toEqual({ type: "try", slot: "b" });
      expect(slots.trial?.attempts).toBe(1);
    }
  });

  test("runs when it is the trial itself", () => {
    expect(planLaunch(TRYING, facts("b", { trial: "u1" }))).toEqual({
      slots: TRYING,
      launch: { type: "run" },
    });
  });

  test("is given up when the machine ends again and again while it is tried", () => {
    let slots = TRYING;
    for (let i = 0; i < TRIAL_ATTEMPTS_MAX; i++) ({ slots } = planLaunch(slots, facts("a")));
    const last = planLaunch(slots, facts("installed"));
    expect(last.launch).toEqual({ type: "become", place: "a" });
    expect(last.slots).toMatchObject({ active: "a", last: { id: "u1", outcome: "reverted" } });
    expect(last.slots.trial).toBeUndefined();
  });

  test("is given up when it is spoilt", () => {
    const { slots, launch } = planLaunch(TRYING, facts("a", { whole: new Set(["a"]) }));
    expect(launch).toEqual({ type: "run" });
    expect(slots.last).toEqual({
      id: "u1",
      outcome: "reverted",
      reason: "its executable is spoilt",
    });
  });

  test("that is kept is what runs from then on, and what ran before it stays beside it", () => {
    const kept = endTrial(TRYING, "kept");
    expect(kept).toMatchObject({ active: "b", former: "a", last: { id: "u1", outcome: "kept" } });
    expect(launchOf(kept, facts("installed"))).toEqual({ type: "become", place: "b" });
    expect(slotFor(kept)).toBe("a");
  });

  test("goes to the slot that is not in use", () => {
    expect(slotFor(INSTALLED)).toBe("a");
    expect(slotFor(UPGRADED)).toBe("b");
    expect(slotFor({ active: "installed", former: "a" })).toBe("b");
  });
});
