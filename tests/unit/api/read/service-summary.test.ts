import { describe, expect, test } from "bun:test";
import { serviceSummary } from "../../../../src/api/read/service-summary.ts";
import type { Service } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aService,
  aSpec,
  aTask,
  aView,
  withNewImage,
} from "../../../builders.ts";

function summaryOf(service: Service, tasks: Task[]) {
  return serviceSummary(aView({ services: [service], tasks }), service);
}

describe("the summary of a service", () => {
  test("counts tasks by what they are worth to the newest revision", () => {
    const service = withNewImage(aService({ replicas: 5 }));
    const summary = summaryOf(service, [
      aTask(service, "a", { slot: "1" }),
      aTask(service, "b", { slot: "2", health: "starting" }),
      aTask(service, "c", { slot: "3", revision: 1 }),
      aTask(service, "d", { slot: "4", revision: 1, desired: "shutdown" }),
      aPendingTask(service, "e", { slot: "4" }),
      aTask(service, "f", { slot: "5", revision: 1, state: "failed" }),
    ]);
    expect(summary).toMatchObject({
      image: "localhost/web:2",
      revision: 2,
      wanted: 5,
      running: 2,
      ready: 2,
      outdated: 2,
      converged: false,
    });
  });

  test("wants one task on each fitting node of a global service", () => {
    const service = aService({ mode: "global" });
    const nodes = [aNode("n1"), aNode("n2"), aNode("n3", { availability: "drain" })];
    const summary = serviceSummary(aView({ nodes, services: [service] }), service);
    expect(summary.wanted).toBe(2);
  });

  test("has converged without a message when all is as it should be", () => {
    const service = aService();
    const summary = summaryOf(service, [aTask(service, "a")]);
    expect(summary).toMatchObject({ converged: true, message: "", failures: 0 });
  });

  test("tells the message of the slot that stands worst", () => {
    const service = aService({ replicas: 3 });
    const ready = aTask(service, "a", { message: "all is well" });
    const waiting = aPendingTask(service, "b", { slot: "2", message: "no node has room" });
    const failed = aTask(service, "c", { slot: "3", state: "failed", message: "exited with 1" });
    expect(summaryOf(service, [ready, waiting, failed]).message).toBe("exited with 1");
    expect(summaryOf(service, [ready, waiting]).message).toBe("no node has room");
    expect(summaryOf(service, [ready]).message).toBe("");
  });

  test("tells why a successor failed while the task that it is to replace still runs", () => {
    const service = { ...aService({ replicas: 1 }), templateRevision: 2 };
    const old = aTask(service, "a", { revision: 1 });
    const failed = aTask(service, "b", {
      revision: 2,
      state: "rejected",
      message: "no such image",
    });
    expect(summaryOf(service, [old, failed]).message).toBe("no such image");
  });

  test("counts failed attempts in a row, of those made since the newest revision", () => {
    const service: Service = {
      ...aService(),
      revisions: [{ revision: 2, at: 100, spec: aSpec({ replicas: 2 }) }],
    };
    const summary = summaryOf(service, [
      aTask(service, "old", { slot: "1", state: "failed", failures: 9, createdAt: 99 }),
      aTask(service, "a", { slot: "2", state: "failed", failures: 2, createdAt: 101 }),
      aTask(service, "b", { slot: "2", state: "starting", failures: 3, createdAt: 102 }),
    ]);
    expect(summary.failures).toBe(3);
  });
});
