import { describe, expect, test } from "bun:test";
import { Worker, type WorkerOptions } from "../../../src/agent/worker.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { VirtualClock } from "../../sim/virtual-clock.ts";

/** A worker that is asked which sets it takes, and nothing that touches a container. */
function aWorker(): Worker {
  return new Worker({
    clock: new VirtualClock(0),
    log: silentLog,
    containers: {} as WorkerOptions["containers"],
    executor: {} as WorkerOptions["executor"],
    readiness: {} as WorkerOptions["readiness"],
    isCutOff: () => false,
    onStarting: () => {},
    onStatus: () => {},
    onForget: () => {},
  });
}

/** Which of these generations are taken, one after the other. */
function taken(worker: Worker, ...generations: number[]): number[] {
  return generations.filter((generation) => worker.accept({ generation, assignments: [] }));
}

describe("of the assignment sets of one session", () => {
  test("those are taken that are at least as new as the last one", () => {
    expect(taken(aWorker(), 3, 2, 3, 7, 6, 0, 8)).toEqual([3, 3, 7, 8]);
  });

  test("none is older than what the node's own disk remembers", () => {
    const worker = aWorker();
    worker.restore({ generation: 5, assignments: [] }, []);
    expect(taken(worker, 4, 5)).toEqual([5]);
  });

  test("the very first may count from zero", () => {
    expect(taken(aWorker(), 0)).toEqual([0]);
  });

  test("one that was taken and is not saved yet keeps older ones away", () => {
    const worker = aWorker();
    worker.accept({ generation: 9, assignments: [] });
    expect([...worker.assignments()]).toEqual([]);
    expect(taken(worker, 8)).toEqual([]);
  });
});

describe("a session that begins", () => {
  test("takes its first set whatever its generation, and from then on none that is older", () => {
    const worker = aWorker();
    worker.restore({ generation: 50, assignments: [] }, []);
    worker.beginSession();
    expect(taken(worker, 4, 3, 50, 5)).toEqual([4, 50]);
  });
});
