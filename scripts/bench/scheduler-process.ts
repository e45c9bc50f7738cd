import { ClusterLoad } from "../../src/core/scheduler/cluster-load.ts";
import { schedule } from "../../src/core/scheduler/schedule.ts";
import { newId } from "../../src/lib/ids.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { put } from "../../src/model/change.ts";
import type { Service } from "../../src/model/service.ts";
import type { Task } from "../../src/model/task.ts";
import { MemoryView } from "../../src/model/view.ts";
import {
  aContainer,
  aNode,
  aPendingTask,
  aService,
  anId,
  reserving,
} from "../../tests/builders.ts";
import type { Shape, ShapeResult, Took } from "./scheduler.ts";

/*
 * Places the tasks of one shape, in a process of its own: its memory is that of the shape. Run by
 * Bun, like orchd itself, with the shape as JSON; prints one line of JSON. What is timed is the
 * decision and its commit to the view, with which the loads go on.
 */
const TASKS_OF_A_SERVICE = 10_000;
const ZONES = 3;
const RACKS = 20;
const WARM_UP = { nodes: 200, tasks: 20_000, batch: 1000, onesMore: 200 };

const random = seededRandom("bench");

/** A cluster of a shape, the tasks of which are not placed yet. */
class ShapedCluster {
  readonly #shape: Shape;
  readonly #view = new MemoryView();
  readonly #load: ClusterLoad;
  readonly #tasks: Task[] = [];

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#load = ClusterLoad.follow(this.#view).load;
    for (let i = 0; i < shape.nodes; i++) {
      const labels = { zone: `z${i % ZONES}`, rack: `r${i % RACKS}` };
      const resources = { cpuMillis: 1_000_000, memoryBytes: 2 ** 40 };
      const node = aNode(`n${i}`, { id: newId<"node">(random), labels, resources });
      this.#view.apply([put.node(node)], this.#view.version + 1);
    }
    for (let made = 0; made < shape.tasks; made += TASKS_OF_A_SERVICE) {
      const service = this.#addService(`s${made / TASKS_OF_A_SERVICE}`);
      const count = Math.min(TASKS_OF_A_SERVICE, shape.tasks - made);
      for (let slot = 1; slot <= count; slot++) this.#tasks.push(this.#addTask(service, slot));
    }
  }

  run(): ShapeResult {
    const { tasks, batch, onesMore } = this.#shape;
    const batches: Took[] = [];
    // What making the cluster left behind is not to be cleared away while something is timed.
    Bun.gc(true);
    for (let from = 0; from < tasks; from += batch) {
      batches.push(this.#place(this.#tasks.slice(from, from + batch)));
    }
    const oneMore = Array.from({ length: onesMore }, (_, i) => {
      // In turn one more of a service that is there, and the first of a new one.
      const known = i % 2 === 0 ? this.#view.services.get(anId("s0")) : undefined;
      return this.#place([this.#addTask(known ?? this.#addService(`one${i}`), tasks + i)]);
    });
    const rebuildAt = performance.now();
    ClusterLoad.of(this.#view);
    const rebuildMs = performance.now() - rebuildAt;
    return { batches, oneMore, rebuildMs, peakBytes: process.resourceUsage().maxRSS * 1024 };
  }

  /** Decides and commits. */
  #place(pending: readonly Task[]): Took {
    const start = performance.now();
    const cpu = process.cpuUsage();
    const view = this.#view;
    const { placements } = schedule(view, pending, random, { load: this.#load });
    const changes = placements.flatMap(({ taskId, nodeId }) => {
      const task = view.tasks.get(taskId);
      return task === undefined ? [] : [put.task({ ...task, nodeId, state: "assigned" })];
    });
    view.apply(changes, view.version + 1);
    const { user, system } = process.cpuUsage(cpu);
    if (changes.length !== pending.length) throw new Error("a task found no node");
    return { ms: performance.now() - start, cpuMs: (user + system) / 1000 };
  }

  #addService(name: string): Service {
    const { constrained } = this.#shape;
    const constraint = { key: "node.labels.zone", operator: "==", value: "z1" } as const;
    const service = aService(
      {
        container: aContainer({ networkMode: "none" }),
        placement: {
          constraints: constrained ? [constraint] : [],
          spread: constrained ? ["node.labels.rack"] : [],
          maxReplicasPerNode: 0,
        },
        resources: constrained ? reserving(10, 2 ** 20) : reserving(0),
      },
      { id: anId(name), name },
    );
    this.#view.apply([put.service(service)], this.#view.version + 1);
    return service;
  }

  #addTask(service: Service, slot: number): Task {
    const over = { id: newId<"task">(random), slot: String(slot) };
    const task = aPendingTask(service, "t", over);
    this.#view.apply([put.task(task)], this.#view.version + 1);
    return task;
  }
}

const shape = JSON.parse(process.argv[2] ?? "") as Shape;
// A server has been running for a while: the engine has compiled what it decides with.
for (const constrained of [false, true]) new ShapedCluster({ ...WARM_UP, constrained }).run();
const result = new ShapedCluster(shape).run();
console.log(JSON.stringify(result));
