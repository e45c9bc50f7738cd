import { describe, expect, test } from "bun:test";
import { ClusterLoad } from "../../../../src/core/scheduler/cluster-load.ts";
import { loadOf } from "../../../../src/core/scheduler/load.ts";
import { schedule } from "../../../../src/core/scheduler/schedule.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { put } from "../../../../src/model/change.ts";
import type { Node } from "../../../../src/model/node.ts";
import type { Service } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aNode,
  aPendingTask,
  aPort,
  aService,
  aTask,
  aView,
  anId,
  reserving,
  withNewImage,
} from "../../../builders.ts";
import { shortId } from "../../../plan-text.ts";

const small = (name: string, over: Partial<Node> = {}) =>
  aNode(name, { resources: { cpuMillis: 1000, memoryBytes: 2 ** 30 }, ...over });
const full = aService({ replicas: 3, resources: reserving(1000) });
const old = (service: Service, slot: number, node: string, over: Partial<Task> = {}) =>
  aTask(service, `old${slot}`, { slot: String(slot), nodeId: anId(node), ...over });
const staged = (service: Service, slot: number) =>
  aPendingTask(service, `new${slot}`, { slot: String(slot), attempt: 2, desired: "prepared" });

/** `task -> node`, with devices, for each that is pending, or why not. */
function place(services: Service[], nodes: Node[], tasks: Task[]): string[] {
  const view = aView({ services, nodes, tasks });
  const pending = tasks.filter(({ state }) => state === "pending");
  const { placements, unplaced } = schedule(view, pending, seededRandom("test"));
  return [
    ...placements.map(({ taskId, nodeId, devices = [] }) =>
      [shortId(taskId), "->", shortId(nodeId), ...devices].join(" "),
    ),
    ...unplaced.map(({ taskId, message }) => `${shortId(taskId)}: ${message}`),
  ];
}

describe("a task that is staged counts on what the one before it gives back", () => {
  test("of the processor, each on the node of its own slot", () => {
    const service = withNewImage(full);
    const nodes = [small("n1"), small("n2"), small("n3")];
    const before = nodes.map(({ hostname }, i) => old(full, i + 1, hostname));
    const all = [1, 2, 3].map((slot) => staged(service, slot));
    expect(place([service], nodes, [...before, ...all])).toEqual([
      "new1 -> n1",
      "new2 -> n2",
      "new3 -> n3",
    ]);
  });

  test("and on no more than that", () => {
    const service = withNewImage(full, { resources: reserving(1500) });
    expect(place([service], [small("n1")], [old(full, 1, "n1"), staged(service, 1)])).toEqual([
      "new1: no node fits: 1 node has 1 cores free, not 1.5",
    ]);
  });

  test("of a port of the node", () => {
    const web = aService({ ports: [aPort({ mode: "host", published: 80 })] });
    const service = withNewImage(web);
    const tasks = [old(web, 1, "n1"), staged(service, 1)];
    expect(place([service], [aNode("n1")], tasks)).toEqual(["new1 -> n1"]);
    const other = aPendingTask(service, "other", { slot: "2" });
    expect(place([service], [aNode("n1")], [...tasks, other])).toEqual([
      "new1 -> n1",
      "other: no node fits: 1 node has port 80/tcp in use by another task",
    ]);
  });

  test("of named resources and of devices that are for one task", () => {
    const serial = { capabilities: [["serial"]], count: 1 };
    const { limits, reservations } = reserving(0);
    const wants = { ...reservations, generic: { lora: 1 }, devices: [serial] };
    const reader = aService({ resources: { limits, reservations: wants } });
    const service = withNewImage(reader);
    const device = { id: "ftdi", kind: "serial", path: "/dev/ttyUSB0" } as const;
    const devices = [{ ...device, capabilities: [], exclusive: true }];
    const node = aNode("n1", { generic: { lora: 1 }, devices });
    const before = old(reader, 1, "n1", { devices: ["ftdi"] });
    expect(place([service], [node], [before, staged(service, 1)])).toEqual(["new1 -> n1 ftdi"]);
    const plain = aPendingTask(service, "plain", { slot: "2" });
    expect(place([service], [node], [before, plain])).toEqual([
      "plain: no node fits: 1 node has 0 of resource lora free, not 1",
    ]);
  });

  test("also where the limit of tasks for each node is reached", () => {
    const placement = { constraints: [], spread: [], maxReplicasPerNode: 1 };
    const single = aService({ placement });
    const service = withNewImage(single);
    expect(place([service], [aNode("n1")], [old(single, 1, "n1"), staged(service, 1)])).toEqual([
      "new1 -> n1",
    ]);
  });

  test("once: not on what another one that is staged there counts on", () => {
    const service = withNewImage(full);
    const there = { ...staged(service, 1), nodeId: anId<"node">("n1"), state: "prepared" as const };
    const second = aPendingTask(service, "second", { attempt: 3, desired: "prepared" });
    expect(place([service], [small("n1")], [old(full, 1, "n1"), there, second])).toEqual([
      "second: no node fits: 1 node has 0 cores free, not 1",
    ]);
  });
});

describe("what is staged", () => {
  const bigger = withNewImage(full, { resources: reserving(700) });
  const before = old(full, 1, "n1");
  const next: Task = { ...staged(bigger, 1), nodeId: anId("n1"), state: "prepared" };
  const cpuIn = (tasks: Task[]) => {
    const view = aView({ services: [bigger], nodes: [small("n1")], tasks });
    return loadOf(view, anId("n1")).cpuMillis;
  };

  test("counts on its node only with what it needs beyond the room before it", () => {
    expect(cpuIn([before, next])).toBe(1000);
    expect(cpuIn([old(bigger, 1, "n1", { revision: 2 }), next])).toBe(700);
    expect(cpuIn([next])).toBe(700);
    expect(cpuIn([{ ...before, slot: "2" }, next])).toBe(1700);
  });

  test("counts in full from the moment in which the room before it is free", () => {
    const view = aView({ services: [bigger], nodes: [small("n1")], tasks: [before, next] });
    const { load } = ClusterLoad.follow(view);
    const cpu = () => load.get(anId("n1"))?.load.cpuMillis;
    expect(cpu()).toBe(1000);
    const [told] = view.apply([put.task({ ...before, desired: "shutdown" })], 2);
    expect(cpu()).toBe(1000);
    if (told?.kind !== "task" || told.after === undefined) throw new Error("it is a task");
    const ended = view.apply([put.task({ ...told.after, state: "shutdown" })], 3);
    expect(cpu()).toBe(700);
    view.revert(ended, 2);
    expect(cpu()).toBe(1000);
  });

  test("leaves the room of its mate to nobody else, and takes none from others", () => {
    const roomy = small("n1", { resources: { cpuMillis: 1500, memoryBytes: 2 ** 30 } });
    const guest = aService({ resources: reserving(500) }, { id: anId("guest"), name: "guest" });
    const waits = aPendingTask(guest, "guest1");
    expect(place([bigger, guest], [roomy], [before, next, waits])).toEqual(["guest1 -> n1"]);
    expect(place([bigger, guest], [small("n1")], [before, next, waits])).toEqual([
      "guest1: no node fits: 1 node has 0 cores free, not 0.5",
    ]);
  });
});
