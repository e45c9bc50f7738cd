import { describe, expect, test } from "bun:test";
import { candidateOf } from "../../../../src/core/scheduler/candidate.ts";
import { refusalOf } from "../../../../src/core/scheduler/filters.ts";
import { loadOf } from "../../../../src/core/scheduler/load.ts";
import type { Node } from "../../../../src/model/node.ts";
import { specOf, type ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aContainer,
  aNode,
  aPendingTask,
  aPort,
  aService,
  aTask,
  aView,
  aVolumeMount,
  anId,
  reserving,
} from "../../../builders.ts";

const MiB = 2 ** 20;

/** Why node n1 can't take one more task of the service; undefined when it can. */
function refusal(spec: Partial<ServiceSpec>, node: Partial<Node> = {}, tasks: Task[] = []) {
  const service = aService(spec);
  const n1 = aNode("n1", node);
  const view = aView({ nodes: [n1], services: [service], tasks });
  const task = aPendingTask(service, "new");
  return refusalOf(candidateOf(view, service, task), n1, loadOf(view, n1.id));
}
const placement = (over: Partial<ServiceSpec["placement"]>) => ({
  placement: { constraints: [], spread: [], maxReplicasPerNode: 0, ...over },
});

const lora = (amount: number) => {
  const { limits, reservations } = reserving(0);
  return { resources: { limits, reservations: { ...reservations, generic: { lora: amount } } } };
};

describe("a node takes no task", () => {
  const zone = { key: "node.labels.zone", operator: "==", value: "north" } as const;
  const host = aPort({ mode: "host" });
  const web = aService({ ports: [host] });
  const cases: [string, Partial<ServiceSpec>, Partial<Node>, Task[], string][] = [
    ["without an agent", {}, { roles: { server: true, agent: false } }, [], "runs no agent"],
    ["when it is down", {}, { health: "down" }, [], "is down"],
    ["when it may be down", {}, { health: "suspect" }, [], "is suspect"],
    ["when it is drained", {}, { availability: "drain" }, [], "is drained"],
    ["when it is paused", {}, { availability: "pause" }, [], "is paused"],
    [
      "of a global service's other slot",
      { mode: "global" },
      {},
      [],
      "is not the node of this slot",
    ],
    [
      "of plain processes where those are not allowed",
      { container: aContainer({ runtime: "process" }) },
      {},
      [],
      "runs no plain processes (see --allow-process)",
    ],
    [
      "of containers where there are processes alone",
      {},
      { runtime: { name: "process", version: "6.1" }, processes: true },
      [],
      "has no container runtime",
    ],
    [
      "for another architecture",
      { container: aContainer({ platform: "linux/arm64" }) },
      {},
      [],
      "is linux/amd64, not linux/arm64",
    ],
    [
      "for another system",
      { container: aContainer({ platform: "windows" }) },
      {},
      [],
      "is linux/amd64, not windows",
    ],
    [
      "whose image is there for another architecture",
      {},
      { foreignImages: { "localhost/web:1": "linux/arm64" } },
      [],
      "is linux/amd64, and has image localhost/web:1 for linux/arm64",
    ],
    [
      "that reserves more of a named resource than is left",
      lora(1),
      { generic: { lora: 1 } },
      [aTask(web, "a", { slot: "2" })],
      "has 0 of resource lora free, not 1",
    ],
    [
      "that names a device which is not there",
      {
        container: aContainer({
          devices: [{ source: "/dev/fuse", target: "/dev/fuse", permissions: "rwm" }],
        }),
      },
      { devices: [], deviceNodes: [] },
      [],
      "has no device /dev/fuse",
    ],
    [
      "that does not meet a constraint",
      placement({ constraints: [zone] }),
      {},
      [],
      "does not meet node.labels.zone == north",
    ],
    [
      "whose port another task has",
      { ports: [host] },
      {},
      [aTask(web, "a")],
      "has port 8080/tcp in use by another task",
    ],
    [
      "beyond its share of the service",
      placement({ maxReplicasPerNode: 2 }),
      {},
      [aTask(web, "a", { slot: "2" }), aTask(web, "b", { slot: "3" })],
      "holds 2 of its tasks already, which is max_replicas_per_node",
    ],
    [
      "with too little memory",
      { resources: reserving(0, 600 * MiB) },
      { resources: { cpuMillis: 1000, memoryBytes: 512 * MiB } },
      [],
      "has 512 MiB of memory free, not 600 MiB",
    ],
    [
      "with too few cores free",
      { resources: reserving(1500) },
      {},
      [aTask(web, "a", { slot: "2" }), aTask(web, "b", { slot: "3" })],
      "has 1 cores free, not 1.5",
    ],
    [
      "with a volume that is to be removed there first",
      { container: aContainer({ mounts: [aVolumeMount("shop_data")] }) },
      { volumesToRemove: ["other", "shop_data"] },
      [],
      "has not yet removed the volume shop_data of a stack that was taken down",
    ],
  ];
  for (const [when, spec, node, tasks, reason] of cases) {
    test(when, () => expect(refusal(spec, node, tasks)).toBe(reason));
  }
});

describe("a node takes a task", () => {
  const web = aService();
  const cases: [string, Partial<ServiceSpec>, Partial<Node>, Task[]][] = [
    ["that asks for nothing", {}, {}, []],
    ["of its own platform", { container: aContainer({ platform: "linux/amd64" }) }, {}, []],
    [
      "of its own platform's variant",
      { container: aContainer({ platform: "linux/amd64/v2" }) },
      {},
      [],
    ],
    ["of its system alone", { container: aContainer({ platform: "linux" }) }, {}, []],
    ["up to its last core", { resources: reserving(4000, 4 * 2 ** 30) }, {}, []],
    [
      "when the others have ended",
      { resources: reserving(4000) },
      {},
      [aTask(web, "a", { state: "failed" })],
    ],
    ["below its share", placement({ maxReplicasPerNode: 2 }), {}, [aTask(web, "a")]],
    ["that reserves what is left of a named resource", lora(2), { generic: { lora: 2 } }, []],
    [
      "whose image is always fetched, whatever is there",
      { container: aContainer({ pullPolicy: "always" }) },
      { foreignImages: { "localhost/web:1": "linux/arm64" } },
      [],
    ],
    ["whose published port is everybody's", { ports: [aPort()] }, {}, [aTask(web, "a")]],
  ];
  for (const [when, spec, node, tasks] of cases) {
    test(when, () => expect(refusal(spec, node, tasks)).toBeUndefined());
  }

  test("of the global slot that it is", () => {
    const service = aService({ mode: "global" });
    const view = aView({ services: [service] });
    const task = aPendingTask(service, "t", { slot: anId("n1") });
    const candidate = candidateOf(view, service, task);
    expect(refusalOf(candidate, aNode(), loadOf(view, anId("n1")))).toBeUndefined();
  });
});

test("a task that is still ending keeps its room, its port and its share", () => {
  const host = aPort({ mode: "host" });
  const ending = aTask(aService(), "a", { slot: "2", desired: "removed" });
  expect(refusal({ resources: reserving(3000) }, {}, [ending])).toBe("has 1 cores free, not 3");
  expect(refusal({ ports: [host] }, {}, [ending])).toContain("has port 8080/tcp");
  expect(refusal(placement({ maxReplicasPerNode: 1 }), {}, [ending])).toContain("holds 1");
});

test("a node's load is that of the revisions which its tasks have", () => {
  const service = aService({ resources: reserving(1000) });
  const spec = { ...specOf(service), resources: reserving(3000) };
  const revised = {
    ...service,
    revisions: [{ revision: 2, at: 0, spec }, ...service.revisions],
    templateRevision: 2,
  };
  const tasks = [aTask(service, "a"), aTask(revised, "b", { slot: "2" })];
  const load = loadOf(aView({ services: [revised], tasks }), anId("n1"));
  expect([load.cpuMillis, load.tasks, load.tasksByService.get(service.id)]).toEqual([4000, 2, 2]);
});
