import { describe, expect, test } from "bun:test";
import { changesOf } from "../../../../src/core/reconcile/plan.ts";
import { isConverged, planService } from "../../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Mount } from "../../../../src/model/container.ts";
import type { Node } from "../../../../src/model/node.ts";
import type { Service, ServiceSpec } from "../../../../src/model/service.ts";
import type { Task } from "../../../../src/model/task.ts";
import {
  aContainer,
  aNode,
  aRestart,
  aService,
  aTask,
  aView,
  aVolumeMount,
  anId,
  withNewImage,
} from "../../../builders.ts";
import { formatPlan } from "../../../plan-text.ts";

const DOWN_AT = 100_000;
const volume = aVolumeMount("shop_data");
const bind: Mount = {
  type: "bind",
  source: "/srv",
  target: "/srv",
  readOnly: false,
  createSource: false,
};
const withMount = (mount: Mount) => aService({ container: aContainer({ mounts: [mount] }) });

const h1 = aNode("h1");
const down = (name: string, since = DOWN_AT) => aNode(name, { health: "down", since });
const on = (name: string): Partial<Task> => ({ nodeId: anId(name) });

interface Given {
  service?: Service;
  nodes?: Node[];
  now?: number;
}

function plan(tasks: Task[], { service = aService(), nodes, now = DOWN_AT }: Given = {}): string[] {
  const view = aView({ nodes: nodes ?? [h1, down("h2")], services: [service], tasks });
  return formatPlan(planService(view, service.id, now, seededRandom("test")));
}

const original = (service = aService(), over: Partial<Task> = {}) =>
  aTask(service, "original", { ...on("h2"), ...over });
const replacement = (over: Partial<Task> = {}) =>
  aTask(aService(), "replacement", { ...on("h1"), createdAt: DOWN_AT + 3000, ...over });
const CREATE = "create a task in slot 1 of revision 1";
const STAGE = "stage a task in slot 1 of revision 1";

describe("a task whose node is down", () => {
  test("is replaced once the node has been down for 3 s, by one that is ready by then", () => {
    expect(plan([original()])).toEqual([STAGE]);
    const both = [original(), replacement({ desired: "prepared", state: "prepared" })];
    expect(plan(both, { now: DOWN_AT + 2999 })).toEqual(["look again at 103000"]);
    expect(plan(both, { now: DOWN_AT + 3000 })).toEqual(["start replacement"]);
    expect(plan([original()], { now: DOWN_AT + 3000 })).toEqual([CREATE]);
  });

  test("is replaced after the time that its service says", () => {
    const disconnect = { replaceAfterMs: 60_000, reconcile: "keep-original" } as const;
    const service = aService({ disconnect });
    const after = (ms: number) => plan([original()], { service, now: DOWN_AT + ms });
    expect(after(3000)).toEqual(["look again at 157000"]);
    expect(after(57_000)).toEqual([STAGE]);
    expect(after(60_000)).toEqual([CREATE]);
  });

  test("goes on where its node is back before that, and what was made ready ends", () => {
    const nodes = [h1, aNode("h2", { since: DOWN_AT + 2000 })];
    const both = [original(), replacement({ desired: "prepared", createdAt: DOWN_AT })];
    expect(plan(both, { nodes, now: DOWN_AT + 4000 })).toEqual(["look again at 107000"]);
    expect(plan(both, { nodes, now: DOWN_AT + 7000 })).toEqual([
      "stop replacement: another task on node h2 holds its slot",
    ]);
  });

  test("is replaced at once where the node's time lies in the future", () => {
    const nodes = [h1, down("h2", DOWN_AT + 3_600_000)];
    const service = aService({
      disconnect: { replaceAfterMs: 0, reconcile: "keep-original" },
    });
    expect(plan([original()], { service, nodes })).toEqual([CREATE]);
  });

  test("has one replacement, however it fares", () => {
    const now = DOWN_AT + 10_000;
    expect(plan([original(), replacement({ state: "pending" })], { now })).toEqual([]);
    expect(plan([original(), replacement({ health: "starting" })], { now })).toEqual([]);
    const failed = replacement({ state: "failed", startedAt: now, finishedAt: now });
    expect(plan([original(), failed], { now })).toEqual(["look again at 111000"]);
    expect(plan([original(), failed], { now: now + 1000 })).toEqual([`${CREATE} after 1 failures`]);
  });

  test("has another one when the replacement's node goes too, and only one can come back", () => {
    const nodes = [h1, down("h2"), down("h3", DOWN_AT + 20_000)];
    const tasks = [original(), replacement(on("h3"))];
    const took = "stop replacement: another task took its place";
    expect(plan(tasks, { nodes, now: DOWN_AT + 20_000 })).toEqual([STAGE]);
    expect(plan(tasks, { nodes, now: DOWN_AT + 23_000 })).toEqual([took, CREATE]);
    const second = aTask(aService(), "second", { ...on("h1"), desired: "prepared", attempt: 3 });
    expect(plan([...tasks, second], { nodes, now: DOWN_AT + 23_000 })).toEqual([
      took,
      "start second",
    ]);
  });

  test("converges with its replacement", () => {
    const service = aService();
    const world = { nodes: [h1, down("h2")], services: [service] };
    expect(isConverged(aView({ ...world, tasks: [original()] }), service)).toBe(false);
    const both = [original(), replacement()];
    expect(isConverged(aView({ ...world, tasks: both }), service)).toBe(true);
    const job = aService({ restart: aRestart({ condition: "on-failure" }) });
    const done = [original(), replacement({ state: "complete", finishedAt: DOWN_AT + 4000 })];
    expect(isConverged(aView({ ...world, services: [job], tasks: done }), job)).toBe(true);
  });
});

describe("a task that can't go on elsewhere waits for its node", () => {
  const now = DOWN_AT + 600_000;
  const tied: [string, Service][] = [
    ["as its volume is there", withMount(volume)],
    [
      "as its device is there",
      aService({
        container: aContainer({
          devices: [{ source: "/dev/a", target: "/dev/a", permissions: "r" }],
        }),
      }),
    ],
  ];
  for (const [why, service] of tied) {
    test(why, () => {
      const home = { ...service, homes: { 1: anId<"node">("h2") } };
      expect(plan([original(service)], { service: home, now })).toEqual([]);
    });
  }

  test("as its slot is that node", () => {
    const service = aService({ mode: "global" });
    const slot = anId("h2");
    const other = aTask(service, "other", { ...on("h1"), slot: anId("h1") });
    expect(plan([original(service, { slot }), other], { service, now })).toEqual([]);
  });

  test("as it may have been started there before it was given up", () => {
    const service = withMount(volume);
    const nodes = [h1, aNode("h2", { health: "down", availability: "drain", since: DOWN_AT })];
    const { startedAt: _, ...assigned } = original(service, { state: "assigned" });
    const told = { ...assigned, desired: "shutdown" } as const;
    const lost = "stop original: node h2 was down when it ended";
    const tie = "tie slot 1 to h2";
    expect(plan([told], { service, nodes, now })).toEqual([lost, CREATE, tie]);
    expect(plan([{ ...told, state: "lost" }], { service, nodes, now })).toContain(tie);
    const beyond = { ...assigned, slot: "2" };
    const forgotten = ["tie slot 2 to h2", "forget original"];
    expect(plan([beyond], { service, nodes, now })).toEqual([CREATE, ...forgotten]);
    const home = { ...service, homes: { 1: anId<"node">("h1") } };
    expect(plan([told], { service: home, nodes, now })).toEqual([lost, CREATE]);
  });

  test("but directories of the node don't keep it", () => {
    const service = withMount(bind);
    expect(plan([original(service)], { service, now })).toEqual([CREATE]);
  });

  test("and its slot is tied to the node where it was started first", () => {
    const service = withMount(volume);
    const task = original(service, { state: "starting" });
    expect(plan([task], { service, now })).toEqual(["tie slot 1 to h2"]);
    const { startedAt: _, ...assigned } = original(service, { state: "assigned" });
    expect(plan([assigned], { service, now })).toEqual([]);
    // A task that ran while it was on its way out has left its data as well.
    const leaving = aTask(service, "leaving", { ...on("h2"), desired: "removed", slot: "2" });
    expect(plan([assigned, leaving], { service, now })).toEqual([
      "tie slot 2 to h2",
      "forget leaving",
    ]);
  });
});

describe("when the node is back", () => {
  const BACK_AT = DOWN_AT + 30_000;
  const nodes = [h1, aNode("h2", { since: BACK_AT })];
  const serviceBy = (reconcile: ServiceSpec["disconnect"]["reconcile"]) =>
    aService({ disconnect: { replaceAfterMs: 3000, reconcile } });
  const ORIGINAL_STAYS = ["stop replacement: another task on node h2 holds its slot"];
  const REPLACEMENT_STAYS = ["stop original: another task on node h1 holds its slot"];

  test("nothing ends before its agent had time to say what became of its tasks", () => {
    const tasks = [original(), replacement()];
    expect(plan(tasks, { nodes, now: BACK_AT })).toEqual(["look again at 135000"]);
  });

  const cases: [string, ServiceSpec["disconnect"]["reconcile"], Task[], string[]][] = [
    ["the original stays", "keep-original", [original(), replacement()], ORIGINAL_STAYS],
    [
      "the replacement stays where the original does not serve",
      "keep-original",
      [original(undefined, { health: "starting" }), replacement()],
      REPLACEMENT_STAYS,
    ],
    [
      "the replacement stays where the service says so",
      "keep-replacement",
      [original(), replacement()],
      REPLACEMENT_STAYS,
    ],
    [
      "the original stays where the replacement does not serve",
      "keep-replacement",
      [original(), replacement({ state: "preparing" })],
      ORIGINAL_STAYS,
    ],
    [
      "the one stays that has run longest where the service says so",
      "longest-running",
      [original(undefined, { startedAt: BACK_AT }), replacement({ startedAt: DOWN_AT })],
      REPLACEMENT_STAYS,
    ],
  ];
  for (const [what, rule, tasks, expected] of cases) {
    test(what, () => {
      const given = { service: serviceBy(rule), nodes, now: BACK_AT + 5000 };
      expect(plan(tasks, given)).toEqual(expected);
    });
  }

  test("the replacement alone is left where the original has ended", () => {
    const ended = original(undefined, { state: "failed", finishedAt: BACK_AT });
    const given = { nodes, now: BACK_AT + 5000 };
    expect(plan([ended, replacement()], given)).toEqual(["retire original"]);
    const retired = { ...ended, desired: "shutdown" as const };
    expect(plan([retired, replacement()], given)).toEqual([]);
  });
});

describe("nobody waits for a node that is down", () => {
  test("to end a task that was told to", () => {
    const told = original(undefined, { desired: "shutdown" });
    const given = { now: DOWN_AT };
    expect(plan([told], given)).toEqual(["stop original: node h2 was down when it ended", CREATE]);
    const view = aView({ nodes: [h1, down("h2")], services: [aService()], tasks: [told] });
    const { actions } = planService(view, anId("web"), DOWN_AT, seededRandom("test"));
    view.apply(changesOf(view, actions, DOWN_AT), 2);
    expect(view.tasks.get(told.id)).toMatchObject({ state: "lost", desired: "shutdown" });
  });

  test("in an update: its outdated task is lost at once", () => {
    const service = withNewImage(aService());
    expect(plan([original()], { service })).toEqual(["stop original: replaced by revision 2"]);
    const lost = original(undefined, { desired: "shutdown", state: "lost", finishedAt: DOWN_AT });
    expect(plan([lost], { service })).toEqual(["create a task in slot 1 of revision 2"]);
  });

  test("in an update of a service with data there: the other slots go on", () => {
    const before = aService({ replicas: 2, container: aContainer({ mounts: [volume] }) });
    const service = withNewImage(before, {
      container: aContainer({ image: "b", mounts: [volume] }),
    });
    const homes = { 1: anId<"node">("h2"), 2: anId<"node">("h1") };
    const waiting = aTask(service, "new", { state: "pending" });
    const { nodeId: _, ...pending } = waiting;
    const lost = original(before, { desired: "shutdown", state: "lost", finishedAt: DOWN_AT });
    const other = aTask(before, "other", { ...on("h1"), slot: "2" });
    expect(plan([lost, pending, other], { service: { ...service, homes } })).toEqual([
      "stage a task in slot 2 of revision 2",
    ]);
  });

  test("when a service is scaled down or removed", () => {
    const second = original(undefined, { slot: "2" });
    expect(plan([aTask(aService(), "first", on("h1")), second])).toEqual(["forget original"]);
    const removing = aService({}, { removing: true });
    const asked = original(undefined, { desired: "removed" });
    expect(plan([asked], { service: removing })).toEqual(["forget original"]);
  });
});

test("an ended task is wanted no more once it has a successor: its node may be alone", () => {
  const ended = original(undefined, { state: "failed", finishedAt: 0 });
  const view = aView({ nodes: [h1, aNode("h2")], services: [aService()], tasks: [ended] });
  const { actions } = planService(view, anId("web"), DOWN_AT, seededRandom("test"));
  view.apply(changesOf(view, actions, DOWN_AT), 2);
  const tasks = view.tasksOf(anId("web")).map(({ desired, state }) => [desired, state]);
  expect(tasks).toEqual([
    ["shutdown", "failed"],
    ["running", "pending"],
  ]);
});

describe("a task on a node that is drained", () => {
  const nodes = [h1, aNode("h2", { availability: "drain" })];

  test("makes way for one elsewhere, by the order of the service", () => {
    const updateOf = (order: "stop-first" | "start-first") => ({
      order,
      parallelism: 1,
      delayMs: 0,
    });
    const stopFirst = aService({ update: updateOf("stop-first") });
    const staged = (over: Partial<Task>) =>
      aTask(stopFirst, "new", { ...on("h1"), createdAt: 10, desired: "prepared", ...over });
    const { nodeId: _, ...homeless } = staged({ state: "pending", message: "no node fits" });
    for (const next of [staged({ state: "prepared" }), homeless]) {
      expect(plan([original(), next], { service: stopFirst, nodes })).toEqual([
        "stop original: node h2 is drained",
      ]);
    }
    expect(plan([original()], { service: stopFirst, nodes })).toEqual([
      "stage a task in slot 1 of revision 1",
    ]);
    const startFirst = aService({ update: updateOf("start-first") });
    expect(plan([original()], { service: startFirst, nodes })).toEqual([CREATE]);
    expect(plan([original(), replacement()], { service: startFirst, nodes })).toEqual([
      "stop original: node h2 is drained",
    ]);
  });

  test("makes way only when its slot's turn comes, whatever failed in the slot before", () => {
    const service = aService({ replicas: 2 });
    const tasks = ["1", "2"].flatMap((slot) => [
      aTask(service, `failed${slot}`, { ...on("h2"), slot, state: "failed", finishedAt: 1 }),
      aTask(service, `task${slot}`, { ...on("h2"), slot, createdAt: 10 }),
    ]);
    expect(plan(tasks, { service, nodes })).toEqual([
      "stage a task in slot 1 of revision 1",
      "retire failed2",
    ]);
  });

  test("ends at once where it can't go on elsewhere", () => {
    const startFirst = { order: "start-first", parallelism: 1, delayMs: 0 } as const;
    const container = aContainer({ mounts: [volume] });
    const service = aService(
      { update: startFirst, container },
      { homes: { 1: anId<"node">("h2") } },
    );
    expect(plan([original(service)], { service, nodes })).toEqual([
      "stop original: node h2 is drained",
    ]);
  });

  test("makes way as well where the node no longer meets a constraint", () => {
    const constraint = { key: "node.labels.zone", operator: "==", value: "north" } as const;
    const placement = { constraints: [constraint], spread: [], maxReplicasPerNode: 0 };
    const service = aService({ placement });
    expect(plan([original()], { service, nodes: [aNode("h2")] })).toEqual([
      "stage a task in slot 1 of revision 1",
    ]);
  });
});
