import { describe, expect, test } from "bun:test";
import { isNeeded, waitOf } from "../../../../src/core/reconcile/depends.ts";
import type { Dependency } from "../../../../src/model/dependency.ts";
import type { Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import { aRestart, aService, aTask, aView, anId, withNewImage } from "../../../builders.ts";

function needing(condition: Dependency["condition"], over: Partial<Dependency> = {}): Service {
  return aService({
    dependsOn: [{ service: "db", condition, restart: false, required: true, ...over }],
  });
}

function aDb(spec: Partial<ServiceSpec> = {}): Service {
  return aService(spec, { id: anId("db"), name: "db" });
}

function waitWith(web: Service, db: Service | undefined, tasks: Task[] = []) {
  return waitOf(aView({ services: db === undefined ? [web] : [web, db], tasks }), web);
}

describe("a service waits", () => {
  const db = aDb();
  const cases: [Dependency["condition"], Partial<Task>, string | undefined][] = [
    ["started", { state: "running", health: "starting" }, undefined],
    ["healthy", { state: "running", health: "starting" }, "waits for db to be healthy"],
    ["healthy", { state: "running", health: "healthy" }, undefined],
    ["healthy", { state: "running", health: "none" }, undefined],
    ["completed", { state: "running" }, "waits for db to complete"],
    ["completed", { state: "complete" }, undefined],
  ];
  for (const [condition, task, wait] of cases) {
    const state = `${task.state} and ${task.health ?? "done"}`;
    test(`to be ${condition} with a task that is ${state}: ${wait ?? "no"}`, () => {
      expect(waitWith(needing(condition), db, [aTask(db, "d", task)])).toBe(wait);
    });
  }

  test("for every replica of what it needs", () => {
    const two = aDb({ replicas: 2 });
    const first = aTask(two, "a");
    expect(waitWith(needing("healthy"), two, [first])).toBe("waits for db to be healthy");
    const both = [first, aTask(two, "b", { slot: "2" })];
    expect(waitWith(needing("healthy"), two, both)).toBeUndefined();
  });

  test("for the newest revision of what it needs", () => {
    const newer = withNewImage(db);
    const old = aTask(db, "d", { revision: 1 });
    expect(waitWith(needing("healthy"), newer, [old])).toBe("waits for db to be healthy");
  });

  test("not once a task of its own was started, nor for what is scaled to nothing or gone", () => {
    const web = needing("healthy");
    expect(waitWith(web, db, [aTask(web, "w", { state: "failed" })])).toBeUndefined();
    expect(waitWith(web, aDb({ replicas: 0 }))).toBeUndefined();
    expect(waitWith(web, undefined)).toBeUndefined();
    expect(waitWith(web, { ...db, removing: true })).toBeUndefined();
  });

  test("and says so where what it needs has failed for good; not where it is optional", () => {
    const given = aDb({ restart: aRestart({ condition: "none" }) });
    const failed = aTask(given, "d", { state: "failed", message: "exited with code 1" });
    const why = "waits for db to be healthy, which it can't any more: its restart policy is none";
    expect(waitWith(needing("healthy"), given, [failed])).toBe(`${why}: exited with code 1`);
    expect(waitWith(needing("healthy", { required: false }), given, [failed])).toBeUndefined();
  });
});

test("a service that is removed goes on for one that needs it and is removed as well", () => {
  const [web, db] = [
    { ...needing("started"), removing: true },
    { ...aDb(), removing: true },
  ];
  expect(isNeeded(aView({ services: [web, db] }), db)).toBe(true);
  expect(isNeeded(aView({ services: [web, db] }), web)).toBe(false);
  expect(isNeeded(aView({ services: [{ ...web, removing: false }, db] }), db)).toBe(false);
});
