import { expect, test } from "bun:test";
import { limitsInForce } from "../../../src/model/limits-in-force.ts";
import { revise } from "../../../src/model/revise.ts";
import type { Service } from "../../../src/model/service.ts";
import { aContainer, aService, aSpec } from "../../builders.ts";

const resourcesOf = (memoryBytes?: number) => ({
  limits: memoryBytes === undefined ? {} : { memoryBytes },
  reservations: { cpuMillis: 0, memoryBytes: 0 },
});
const specOf = (memoryBytes?: number, image = "web:1") =>
  aSpec({ resources: resourcesOf(memoryBytes), container: aContainer({ image }) });
const service = aService({ resources: resourcesOf(100), container: specOf().container });
const task = { revision: 1, slot: "1" };
const after = (from: Service, ...specs: ReturnType<typeof specOf>[]) =>
  specs.reduce((one, spec) => revise(one, spec, 1, [task]), from);

test("limits are those that a task was made with until a revision says others", () => {
  expect(limitsInForce(service, 1)).toBeUndefined();
  const relabelled = after(service, { ...specOf(100), labels: { a: "b" } });
  expect(limitsInForce(relabelled, 1)).toBeUndefined();
  expect(limitsInForce(after(service, specOf(200)), 1)).toEqual({ memoryBytes: 200 });
  expect(limitsInForce(after(service, specOf()), 1)).toEqual({});
  expect(limitsInForce(after(service, specOf(200)), 2)).toBeUndefined();
});

test("limits that went back are told as well: who was away may have the others", () => {
  const back = after(service, specOf(200), specOf(100));
  expect(limitsInForce(back, 1)).toEqual({ memoryBytes: 100 });
});

test("what waits for its replacement keeps the limits that it had before", () => {
  const updated = after(service, specOf(200), specOf(300, "web:2"));
  expect(limitsInForce(updated, 1)).toEqual({ memoryBytes: 200 });
  const undone = after(updated, specOf(400));
  expect(limitsInForce(undone, 1)).toEqual({ memoryBytes: 400 });
});

test("other limits begin no rollout, and are a new revision all the same", () => {
  const { rollout, templateRevision, revisions } = after(service, specOf(200));
  expect([rollout, templateRevision, revisions.length]).toEqual([undefined, 1, 2]);
});

test("a job that got other limits is another job: it may have failed by them", () => {
  const job = (memoryBytes: number) => ({
    ...specOf(memoryBytes),
    mode: "replicated-job" as const,
  });
  const first = aService(job(100));
  expect(revise(first, job(200), 1, [task]).templateRevision).toBe(2);
});
