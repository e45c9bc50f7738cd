import { describe, expect, test } from "bun:test";
import {
  beginProbes,
  dueRoles,
  withResult,
  withTrouble,
  type HealthNews,
  type TaskProbes,
} from "../../../../src/core/probe/task-probes.ts";
import { OrchdError } from "../../../../src/lib/errors.ts";
import type { EffectiveProbes, ProbeRole } from "../../../../src/model/probe.ts";
import type { Health } from "../../../../src/model/task.ts";
import { aProbe } from "../../../builders.ts";

const NOBODY: ReadonlySet<ProbeRole> = new Set();

/** A task whose probes answer as the test says, in a time of its own. */
class Probed {
  now = 0;
  task: TaskProbes;
  readonly told: string[] = [];
  readonly asked = new Map<ProbeRole, number>();

  constructor(probes: EffectiveProbes, health: Health = "starting", isNew = true) {
    this.task = beginProbes(probes, { now: 0, since: 0, phase: 0.5, isNew, health });
  }

  /** Lets `ms` pass, with these roles failing. */
  pass(ms: number, ...failing: ProbeRole[]): void {
    const until = this.now + ms;
    for (;;) {
      const [next] = dueRoles(this.task, NOBODY);
      if (next === undefined || next.at > until) break;
      this.now = next.at;
      const { role } = next;
      this.asked.set(role, (this.asked.get(role) ?? 0) + 1);
      const result = { ok: !failing.includes(role), output: `${role} said so` };
      const when = { startedAt: this.now, now: this.now };
      const { task, news } = withResult(this.task, role, result, when);
      this.task = task;
      if (news !== undefined) this.told.push(format(news));
    }
    this.now = until;
  }
}

function format({ health, message, ending }: HealthNews): string {
  return [health, message, ending ? "ending" : ""].filter((part) => part !== "").join(", ");
}

const probe = aProbe({ intervalMs: 1000, failures: 3 });

describe("a task with Compose's healthcheck", () => {
  test("starts, is healthy, and is ended when it fails as often as it may", () => {
    const task = new Probed({ healthcheck: probe });
    expect(task.task.health).toBe("starting");
    task.pass(1000);
    expect(task.told).toEqual(["healthy"]);
    task.pass(5000, "healthcheck");
    const ended = "unhealthy, unhealthy: healthcheck said so, ending";
    expect(task.told).toEqual(["healthy", ended]);
    expect(dueRoles(task.task, NOBODY)).toEqual([]);
  });

  test("that never gets well tells once what it waits for, and is ended", () => {
    const task = new Probed({ healthcheck: probe });
    task.pass(10_000, "healthcheck");
    expect(task.told).toEqual([
      "starting, not ready: healthcheck said so",
      "unhealthy, unhealthy: healthcheck said so, ending",
    ]);
    expect(task.now).toBe(10_000);
  });
});

describe("a task with ready and live", () => {
  test("gets no traffic while it is not ready, goes on, and gets it again", () => {
    const task = new Probed({ ready: probe, live: probe });
    task.pass(2000);
    task.pass(10_000, "ready");
    task.pass(5000);
    expect(task.told).toEqual(["healthy", "unhealthy, not ready: ready said so", "healthy"]);
    expect(task.asked.get("live")).toBeGreaterThan(10);
  });

  test("is ended by live alone, whatever ready says", () => {
    const task = new Probed({ ready: probe, live: probe });
    task.pass(2000);
    task.pass(10_000, "live");
    expect(task.told).toEqual(["healthy", "unhealthy, unhealthy: live said so, ending"]);
  });

  test("is not asked whether it lives before one interval has passed", () => {
    const task = new Probed({ live: probe }, "none");
    expect(task.task.health).toBeUndefined();
    task.pass(999);
    expect(task.asked.size).toBe(0);
    task.pass(5000);
    expect(task.told).toEqual([]);
    task.pass(5000, "live");
    expect(task.told).toEqual(["unhealthy, unhealthy: live said so, ending"]);
  });
});

describe("a task with startup", () => {
  test("is asked nothing else before it has passed", () => {
    const task = new Probed({
      startup: aProbe({ intervalMs: 1000, failures: 30 }),
      ready: probe,
      live: probe,
    });
    task.pass(20_000, "startup", "ready", "live");
    expect([...task.asked.keys()]).toEqual(["startup"]);
    task.pass(2000);
    expect(task.told).toEqual(["starting, not ready: startup said so", "healthy"]);
    const asked = task.asked.get("startup");
    task.pass(5000);
    expect(task.asked.get("startup")).toBe(asked);
  });

  test("alone is healthy when it has passed", () => {
    const task = new Probed({ startup: probe });
    task.pass(100);
    expect(task.told).toEqual(["healthy"]);
    expect(dueRoles(task.task, NOBODY)).toEqual([]);
  });

  test("that does not start in time is ended", () => {
    const task = new Probed({ startup: probe, live: probe });
    task.pass(20_000, "startup");
    expect(task.told.at(-1)).toBe("unhealthy, did not start: startup said so, ending");
  });

  test("gives live its own time to begin with once it has passed", () => {
    const task = new Probed({ startup: aProbe({ intervalMs: 1000, failures: 30 }), live: probe });
    task.pass(20_000, "startup", "live");
    task.pass(2900, "live");
    expect(task.told.filter((text) => text.includes("ending"))).toEqual([]);
  });
});

describe("a task that a new life of the agent finds", () => {
  for (const health of ["healthy", "unhealthy", "none"] as const) {
    test(`${health} stays so until its probes say otherwise`, () => {
      const task = new Probed({ ready: probe }, health, false);
      const stays = health === "unhealthy" ? "unhealthy" : "healthy";
      expect(task.task.health).toBe(stays);
      task.pass(1500, ...(health === "unhealthy" ? (["ready"] as const) : []));
      expect(task.told).toEqual([]);
    });
  }

  test("starting is asked for its start again", () => {
    const task = new Probed({ startup: probe, ready: probe }, "starting", false);
    task.pass(100);
    expect([...task.asked.keys()]).toEqual(["startup", "ready"]);
  });
});

describe("a check that could not be made", () => {
  test("ends nobody, however often, and is told once to whoever waits", () => {
    const trouble = new OrchdError("unreachable", "the runtime does not answer");
    let { task } = new Probed({ healthcheck: probe });
    const told: string[] = [];
    for (let now = 0; now < 20_000; now += 1000) {
      const after = withTrouble(task, "healthcheck", trouble, now);
      task = after.task;
      if (after.news !== undefined) told.push(format(after.news));
    }
    expect(told).toEqual(["starting, it can't be checked: the runtime does not answer"]);
    expect(task.health).toBe("starting");
  });

  test("changes nothing of a task that is healthy", () => {
    const known = new Probed({ healthcheck: probe }, "healthy", false);
    const { task, news } = withTrouble(known.task, "healthcheck", new Error("away"), 7);
    expect({ health: task.health, news }).toEqual({ health: "healthy", news: undefined });
    expect(dueRoles(task, NOBODY)).toEqual([{ role: "healthcheck", at: 1007 }]);
  });
});
