import { describe, expect, test } from "bun:test";
import { revise } from "../../../src/model/revise.ts";
import {
  currentRevision,
  REVISIONS_KEPT,
  sameTemplate,
  serviceSchema,
  specAt,
  specOf,
} from "../../../src/model/service.ts";
import { aContainer, aPort, aService, aSpec, reserving } from "../../builders.ts";

describe("revising a service", () => {
  test("with the spec that it has changes nothing at all", () => {
    const service = aService();
    expect(revise(service, aSpec(), 5, [])).toBe(service);
  });

  test("puts the new revision first and keeps the old one for undo", () => {
    const after = revise(aService(), aSpec({ replicas: 3 }), 5, []);
    expect(after.revisions.map(({ revision, at }) => [revision, at])).toEqual([
      [2, 5],
      [1, 0],
    ]);
    expect([specOf(after).replicas, specAt(after, 1).replicas]).toEqual([3, 1]);
  });

  test("keeps ten revisions besides the current one", () => {
    let service = aService();
    for (let replicas = 2; replicas < 40; replicas++) {
      service = revise(service, aSpec({ replicas }), replicas, []);
    }
    expect(service.revisions).toHaveLength(REVISIONS_KEPT + 1);
    expect(currentRevision(service).revision).toBe(39);
  });

  test("keeps an older revision as long as a task of it is there", () => {
    let service = aService();
    for (let replicas = 2; replicas < 40; replicas++) {
      service = revise(service, aSpec({ replicas }), replicas, [{ revision: 3, slot: "1" }]);
    }
    expect(service.revisions).toHaveLength(REVISIONS_KEPT + 2);
    expect(specAt(service, 3).replicas).toBe(3);
  });

  test("gives a task of a forgotten revision the current spec", () => {
    expect(specAt(aService({ replicas: 7 }), 99).replicas).toBe(7);
  });

  test("leaves tasks as they are when only their number, place or labels change", () => {
    const changes = [
      { replicas: 5 },
      { labels: { team: "red" } },
      { placement: { constraints: [], spread: ["node.hostname"], maxReplicasPerNode: 1 } },
      { update: { order: "start-first", parallelism: 0, delayMs: 5 } as const },
    ];
    for (const change of changes) {
      expect(revise(aService(), aSpec(change), 5, []).templateRevision).toBe(1);
    }
  });

  test("leaves tasks as they are when their limits change, but not for other processors", () => {
    const limited = (limits: object) => aSpec({ resources: { ...reserving(0), limits } });
    expect(sameTemplate(limited({}), limited({ memoryBytes: 1, cpuMillis: 2, pids: 3 }))).toBe(
      true,
    );
    expect(sameTemplate(limited({}), limited({ cpuSet: "0" }))).toBe(false);
  });

  test("outdates tasks when what they are made of changes", () => {
    const changes = [
      { container: aContainer({ image: "localhost/web:2" }) },
      { container: aContainer({ environment: { A: "1" } }) },
      { resources: reserving(100) },
      { ports: [aPort()] },
      { ports: [aPort({ mode: "host" })] },
      { mode: "global" as const },
      { restarts: 1 },
    ];
    for (const change of changes) {
      expect(sameTemplate(aSpec(), aSpec(change))).toBe(false);
      expect(revise(aService(), aSpec(change), 5, []).templateRevision).toBe(2);
    }
  });
});

test("a service without a revision is a fault of ours", () => {
  const broken = { ...aService(), revisions: [] };
  expect(() => currentRevision(broken)).toThrow("has no revision");
  expect(serviceSchema.safeParse(broken).success).toBe(false);
});

test("replicas are bounded from both sides", () => {
  const accepts = (replicas: number) =>
    serviceSchema.safeParse(aService({ replicas })).error === undefined;
  expect([-1, 0, 1.5, 10_000, 10_001].map(accepts)).toEqual([false, true, false, true, false]);
});
