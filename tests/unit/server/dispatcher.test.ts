import { describe, expect, test } from "bun:test";
import { put } from "../../../src/model/change.ts";
import { NO_RUNS } from "../../../src/model/job.ts";
import { revise } from "../../../src/model/revise.ts";
import { assignmentSetOf, nodesTouchedBy } from "../../../src/server/assignments.ts";
import {
  aCluster,
  aContainer,
  anAssignment,
  aNode,
  aPendingTask,
  aPort,
  aService,
  aStatus,
  aTask,
  aView,
  aVolumeMount,
  anId,
  anIngressRule,
  aSpec,
  reserving,
  withNewImage,
} from "../../builders.ts";
import { Rig } from "./rig.ts";

const service = aService();

describe("an agent that says hello", () => {
  test("becomes a ready node, and is told what it should hold", async () => {
    const rig = new Rig();
    await rig.commit(put.service(service), put.task(aTask(service, "t")));
    await rig.connect();
    expect(rig.disk.view.nodes.get(anId("n1"))).toMatchObject({
      health: "ready",
      availability: "active",
      createdAt: 1100,
    });
    expect(rig.sets.map((set) => set.assignments.map(({ taskId }) => taskId))).toEqual([
      [anId("t")],
    ]);
  });

  test("again writes nothing, and keeps what people set on its node", async () => {
    const rig = new Rig();
    const labels = { zone: "north" };
    const roles = { server: true, agent: true };
    const set = { availability: "drain", labels, roles } as const;
    await rig.commit(put.node(aNode("n1", set)));
    const { version } = rig.disk.view;
    await rig.connect();
    expect(rig.disk.view.version).toBe(version);
    expect(rig.disk.view.nodes.get(anId("n1"))).toMatchObject(set);
  });
});

describe("an agent that says what it was told in a time that a backup lacks", () => {
  /** Tasks of the service's first slot that are wanted. */
  const wanted = (rig: Rig) => {
    const tasks = [...rig.disk.view.tasks.values()];
    return tasks.filter(({ desired }) => desired === "running").map(({ id }) => id);
  };
  const told = (name: string) => {
    const { id: serviceId, stack, name: ofService } = service;
    const { container, restart } = aSpec();
    const of = { serviceId, stack, service: ofService, slot: "1", revision: 1 };
    return anAssignment(name, { ...of, container, restart, desired: "running" });
  };

  test("is believed once, and not when it goes on to claim what others run", async () => {
    const rig = new Rig();
    const theirs = aTask(service, "theirs", { nodeId: anId("n2"), state: "running" });
    const restored = { from: 0, to: 5000, at: 1 };
    const nodes = [aNode("n1"), aNode("n2")].map(put.node);
    await rig.commit(put.cluster(aCluster({ restored })), ...nodes, put.service(service));
    rig.generation = 10;
    rig.held = [told("own")];
    await rig.connect();
    expect(wanted(rig)).toEqual([anId("own")]);
    const own = rig.disk.view.tasks.get(anId("own")) ?? theirs;
    await rig.commit(put.task({ ...own, desired: "shutdown" }), put.task(theirs));
    rig.held = [told("again")];
    await rig.connect();
    expect(wanted(rig)).toEqual([theirs.id]);
  });
});

describe("an agent is told", () => {
  test("of other limits for the tasks that it has, which stay what they are", async () => {
    const rig = new Rig();
    const resources = (memoryBytes: number) => ({ ...reserving(0), limits: { memoryBytes } });
    const limited = aService({ resources: resources(100) });
    await rig.commit(put.service(limited), put.task(aTask(limited, "t")));
    await rig.connect();
    const known = rig.disk.view.services.get(limited.id) ?? limited;
    await rig.commit(put.service(revise(known, aSpec({ resources: resources(200) }), 5, [])));
    const told = rig.sets.flatMap(({ assignments }) => assignments);
    expect(told.map(({ revision, limits }) => [revision, limits])).toEqual([
      [1, undefined],
      [1, { memoryBytes: 200 }],
    ]);
  });

  test("by when its job's work has to be done, and of another deadline", async () => {
    const rig = new Rig();
    const job = (deadlineMs: number) => aSpec({ mode: "replicated-job", job: { deadlineMs } });
    const startedAt = 5000;
    const runs = { ...NO_RUNS, list: [{ run: 1, revision: 1, startedAt, message: "" }] };
    const service = { ...aService(job(60_000)), runs };
    await rig.commit(put.service(service), put.task(aTask(service, "t")));
    await rig.connect();
    const known = rig.disk.view.services.get(service.id) ?? service;
    await rig.commit(put.service(revise(known, job(90_000), 5, [])));
    const told = rig.sets.flatMap(({ assignments }) => assignments);
    expect(told.map(({ endsAt }) => endsAt)).toEqual([65_000, 95_000]);
  });

  test("once for everything that changed in one commit", async () => {
    const rig = new Rig();
    await rig.connect();
    const tasks = ["a", "b", "c"].map((name) => put.task(aTask(service, name)));
    await rig.commit(put.service(service), ...tasks);
    expect(rig.sets.slice(1).map(({ assignments }) => assignments.length)).toEqual([3]);
  });

  test("nothing of its own reports, nor of other nodes' tasks", async () => {
    const rig = new Rig();
    await rig.commit(put.service(service), put.task(aTask(service, "t", { state: "assigned" })));
    await rig.connect();
    await rig.report("running", "1");
    await rig.commit(put.task(aTask(service, "o", { nodeId: anId("n2") })));
    expect(rig.sets).toHaveLength(1);
  });

  test("nothing that the disk does not hold", async () => {
    const rig = new Rig();
    await rig.connect();
    rig.diskIsFull = true;
    const lost = rig.store.commit([put.service(service), put.task(aTask(service, "t"))]);
    const refused = lost.catch((error: Error) => error.message);
    // Somebody makes the dispatcher look while the write is still on its way.
    const hello = rig.connect().catch(() => undefined);
    await rig.pass(100);
    expect(await refused).toBe("the disk is full");
    await hello;
    const told = rig.sets.flatMap(({ assignments }) => assignments);
    expect(told).toEqual([]);
  });

  test("nothing after it said goodbye", async () => {
    const rig = new Rig();
    await rig.connect();
    rig.dispatcher.goodbye(anId("n1"));
    await rig.commit(put.service(service), put.task(aTask(service, "t")));
    expect([rig.sets.length, rig.dispatcher.sessions()]).toEqual([1, []]);
  });
});

describe("a report", () => {
  test("moves the tasks of its own node, and nobody else's", async () => {
    const rig = new Rig();
    const tasks = [
      put.task(aTask(service, "mine", { state: "starting" })),
      put.task(aTask(service, "other", { state: "starting", nodeId: anId("n2"), slot: "2" })),
    ];
    await rig.commit(put.service(service), ...tasks);
    const statuses = [aStatus("mine"), aStatus("other"), aStatus("unknown")];
    await Promise.all([rig.dispatcher.report(anId("n1"), statuses), rig.pass(100)]);
    expect(rig.tasks()).toEqual(["1 running running", "2 running starting"]);
  });

  test("is refused while the disk is full, so that it is sent again", async () => {
    const rig = new Rig();
    await rig.commit(put.service(service), put.task(aTask(service, "t", { state: "starting" })));
    rig.diskIsFull = true;
    const report = rig.dispatcher.report(anId("n1"), [aStatus("t")]);
    const answer = report.then(
      () => "taken",
      (error: Error) => error.message,
    );
    await rig.pass(100);
    expect(await answer).toBe("the disk is full");
    expect(rig.tasks()).toEqual(["1 running starting"]);
  });
});

describe("an assignment set", () => {
  test("tells on which ports a task takes requests by its own revision's rules", () => {
    const old = aService({ ingress: [anIngressRule({ port: 80 })] });
    const web = withNewImage(old, { ingress: [anIngressRule({ port: 81 })] });
    const tasks = [aTask(old, "a"), aTask(web, "b", { slot: "2" })];
    const { assignments } = assignmentSetOf(aView({ services: [web], tasks }), anId("n1"));
    expect(assignments.map(({ requestPorts }) => requestPorts)).toEqual([[80], [81]]);
  });

  test("is complete: a node can go on with it alone", () => {
    const web = aService({ ports: [aPort()] });
    const view = aView({
      services: [web],
      tasks: [aTask(web, "b"), aTask(web, "a", { slot: "2" })],
    });
    const { generation, assignments } = assignmentSetOf(view, anId("n1"));
    expect(generation).toBe(1);
    expect(assignments.map(({ taskId, slot }) => [taskId, slot])).toEqual([
      [anId("a"), "2"],
      [anId("b"), "1"],
    ]);
    expect(assignments[0]).toMatchObject({
      stack: "shop",
      service: "web",
      desired: "running",
      state: "running",
      container: { image: "localhost/web:1" },
      ports: [{ published: 8080 }],
    });
  });

  test("says whose slot may still start elsewhere, and be bound to there", () => {
    const container = aContainer({ mounts: [aVolumeMount("data")] });
    const tied = aService({ container }, { id: anId("db"), homes: { "2": anId("n1") } });
    const tasks = [1, 2].map((slot) => aTask(tied, `t${slot}`, { slot: String(slot) }));
    const free = aTask(service, "t3", { slot: "3" });
    const all = { nodes: [aNode("n1")], services: [tied, service], tasks: [...tasks, free] };
    const { assignments } = assignmentSetOf(aView(all), anId("n1"));
    const unbound = assignments.map(({ slot, unbound: is = false }) => [slot, is]);
    expect(unbound).toEqual([
      ["1", true],
      ["2", false],
      ["3", false],
    ]);
  });

  test("is another for the nodes that gain or lose a task, or whose task is to end", () => {
    const before = aPendingTask(service, "t");
    const placed = { ...before, nodeId: anId<"node">("n1"), state: "assigned" as const };
    const touched = [
      nodesTouchedBy({ kind: "task", before, after: placed }),
      nodesTouchedBy({ kind: "task", before: placed, after: { ...placed, state: "running" } }),
      nodesTouchedBy({ kind: "task", before: placed, after: { ...placed, desired: "shutdown" } }),
      nodesTouchedBy({ kind: "task", before: placed, after: undefined }),
      nodesTouchedBy({ kind: "task", before: undefined, after: before }),
      nodesTouchedBy({ kind: "service", before: service, after: service }),
    ];
    expect(touched.map((ids) => new Set(ids).size)).toEqual([1, 0, 1, 1, 0, 0]);
  });
});
