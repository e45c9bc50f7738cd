import type { AgentMemory } from "../../src/agent/agent-options.ts";
import { put, type Change } from "../../src/model/change.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { priorityOf } from "../../src/model/service.ts";
import { isLive, isTerminal, type Task } from "../../src/model/task.ts";
import type { View } from "../../src/model/view.ts";
import type { ContainerStatus } from "../../src/runtime/driver.ts";
import type { Store } from "../../src/store/store.ts";
import { AGENT_BUGS } from "./agent-bugs.ts";
import type { Bug } from "./bug.ts";
import { ROLLOUT_BUGS } from "./rollout-bugs.ts";
import { SCALE_BUGS } from "./scale-bugs.ts";
import { STORE_BUGS } from "./store-bugs.ts";
import { TASK_BUGS } from "./task-bugs.ts";
import { VOLUME_BUGS } from "./volume-bugs.ts";
import {
  withCommit,
  withNodes,
  withServices,
  withSpecs,
  withTasks,
  withView,
  wrap,
} from "./wrap.ts";

/** Without what ends tasks for other reasons. */
const ONLY_LINKS = {
  agentDies: 0,
  powerIsCut: 0,
  containerCrashes: 0,
  containerVanishes: 0,
  serverDies: 0,
} as const;

export const BUGS: readonly Bug[] = [
  ...AGENT_BUGS,
  ...ROLLOUT_BUGS,
  ...SCALE_BUGS,
  ...STORE_BUGS,
  ...TASK_BUGS,
  ...VOLUME_BUGS,
  {
    name: "acknowledges-too-early",
    breaks: "S8",
    store: (store) =>
      withCommit(store, async (changes) => {
        const version = store.view().version + 1;
        // The caller hears of success while the write is still on its way, and never of failure.
        void store.commit(changes).catch(() => undefined);
        return { ok: true, version };
      }),
  },
  {
    name: "tells-agents-too-early",
    breaks: "durable",
    dispatcherStore: (store) =>
      withCommit(store, async (changes) =>
        changes.length === 0 ? { ok: true, version: 0 } : store.commit(changes),
      ),
  },
  {
    name: "ignores-drain",
    breaks: "S4",
    controllersStore: (store) =>
      withNodes(store, (node) => ({ ...node, availability: "active", health: "ready" })),
  },
  {
    name: "forgets-deadlines",
    breaks: "S4",
    seed: "243",
    faults: { serverDies: 0, serverPauses: 0 },
    controllersStore: (store) => withNodes(store, (node) => ({ ...node, drainBy: Infinity })),
  },
  {
    name: "ends-on-drained-nodes-first",
    breaks: "leaving",
    seed: "56",
    controllersStore: (store) =>
      withSpecs(store, (spec) => ({ ...spec, drain: { ...spec.drain, order: "stop-first" } })),
  },
  {
    name: "empties-drained-nodes-at-once",
    breaks: "leaving",
    seed: "259",
    controllersStore: (store) =>
      withSpecs(store, (spec) => {
        const { drain: _, ...rest } = spec;
        return rest;
      }),
  },
  {
    name: "ignores-constraints",
    breaks: "S3",
    controllersStore: (store) =>
      withServices(store, (service) => ({
        ...service,
        revisions: service.revisions.map(({ spec, ...rest }) => {
          const placement = { ...spec.placement, constraints: [] };
          return { ...rest, spec: { ...spec, placement } };
        }),
      })),
  },
  {
    name: "overfills-nodes",
    breaks: "S1",
    seed: "10",
    controllersStore: (store) =>
      withNodes(store, (node) => ({
        ...node,
        resources: { cpuMillis: node.resources.cpuMillis * 9, memoryBytes: 2 ** 50 },
      })),
  },
  {
    name: "gives-more-than-there-is",
    breaks: "S1",
    seed: "9",
    controllersStore: (store) => withNodes(store, (node) => ({ ...node, generic: { lora: 9 } })),
  },
  {
    name: "shares-what-is-for-one",
    breaks: "S2",
    seed: "9",
    controllersStore: (store) =>
      withNodes(store, (node) => ({
        ...node,
        devices: (node.devices ?? []).map((device) => ({ ...device, exclusive: false })),
      })),
  },
  {
    name: "ignores-platforms",
    breaks: "S3",
    controllersStore: (store) =>
      withNodes(store, (node) => ({ ...node, platform: { os: "linux", arch: "amd64" } })),
  },
  {
    name: "ignores-other-services",
    breaks: "S3",
    seed: "6",
    controllersStore: (store) =>
      withSpecs(store, (spec) => {
        const { affinity, ...placement } = spec.placement;
        return affinity === undefined ? spec : { ...spec, placement };
      }),
  },
  {
    name: "takes-the-higher-for-the-lower",
    breaks: "priority",
    seed: "15",
    controllersStore: (store) =>
      withCommit(store, (changes) =>
        store.commit(changes.map((change) => withHighestVictim(store.view(), change))),
      ),
  },
  {
    name: "moves-all-at-once",
    breaks: "balance",
    seed: "19",
    faults: { powerIsCut: 0.04 },
    controllersStore: (store) =>
      withCommit(store, (changes) => {
        const moves = changes.flatMap((change) =>
          change.kind === "task" && change.op === "put" && change.value.leave !== undefined
            ? change.value
            : [],
        );
        const others = moves.flatMap(({ serviceId, leave = "" }) =>
          store
            .view()
            .tasksOf(serviceId)
            .filter((task) => isLive(task) && task.leave === undefined)
            .map((task) => put.task({ ...task, leave })),
        );
        return store.commit(moves.length > 0 ? others : changes);
      }),
  },
  {
    name: "restarts-without-backoff",
    breaks: "S15",
    controllersStore: (store) =>
      withServices(store, (service) => ({
        ...service,
        revisions: service.revisions.map(({ spec, ...rest }) => {
          const restart = { ...spec.restart, delayMs: 0, delayMaxMs: 0 };
          return { ...rest, spec: { ...spec, restart } };
        }),
      })),
  },
  {
    name: "forgets-tasks-that-still-end",
    breaks: "surge",
    controllersStore: (store) =>
      withTasks(store, (tasks) => tasks.filter((t) => isLive(t) || isTerminal(t.state))),
  },
  {
    name: "agent-forgets-what-it-was-told",
    breaks: "S10",
    agentState: (state) => ({
      ...methodsOf(state),
      assignments: () => ({ generation: 0, assignments: [] }),
    }),
  },
  {
    name: "agent-forgets-what-it-saw",
    breaks: "once",
    seed: "14",
    faults: { agentDies: 0.15, containerCrashes: 0.3 },
    agentState: (state) => ({ ...methodsOf(state), statuses: () => [], saveStatus: () => {} }),
  },
  {
    name: "starts-what-has-ended",
    breaks: "surge",
    runtime: (runtime) =>
      wrap(runtime, {
        list: async () => (await runtime.list()).map(asCreated),
        inspect: async (taskId) => {
          const found = await runtime.inspect(taskId);
          return found && asCreated(found);
        },
      }),
  },
  {
    name: "hears-nothing-of-the-runtime",
    breaks: "T8",
    seed: "7",
    runtime: (runtime) =>
      wrap(runtime, {
        list: async () => (await runtime.list()).filter(() => false),
        async *events(signal) {
          for await (const event of runtime.events(signal))
            if (event.type === "resync") yield event;
        },
      }),
  },
  {
    name: "takes-what-is-well-for-sick",
    breaks: "O2",
    runtime: (runtime) =>
      wrap(runtime, {
        answer: async (...asked) => {
          const said = await runtime.answer?.(...asked);
          return { output: said?.output ?? "", ok: false };
        },
      }),
  },
  {
    name: "waits-for-every-task-that-is-away",
    breaks: "one",
    seed: "8",
    faults: { linkIsCut: 0.08 },
    controllersStore: (store) =>
      withCommit(store, (changes) =>
        store.commit(changes.filter((change) => !tellsWhy(change, "another task took its place"))),
      ),
  },
  {
    name: "moves-what-is-tied",
    breaks: "tied",
    controllersStore: (store) =>
      withServices(store, (service) => ({
        ...service,
        revisions: service.revisions.map(({ spec, ...rest }) => {
          return { ...rest, spec: { ...spec, container: { ...spec.container, mounts: [] } } };
        }),
      })),
  },
  {
    name: "believes-gossip-alone",
    breaks: "H1",
    seed: "5",
    probe: async () => false,
  },
  {
    name: "takes-its-own-pause-for-silence",
    breaks: "H2",
    faults: { serverPauses: 0.1, agentDies: 0, serverDies: 0, linkIsCut: 0, powerIsCut: 0 },
    healthClock: withoutPauses,
  },
  {
    name: "takes-no-node-for-down",
    breaks: "T8",
    seed: "5",
    faults: { powerIsCut: 0.04 },
    healthStore: (store) => withCommit(store, () => new Promise(() => {})),
  },
  {
    name: "forgets-the-tasks-of-a-node-that-is-back",
    breaks: "S10",
    dispatcherStore: (store) =>
      withView(store, (view) => ({
        tasksOn: (id) => {
          const since = view.nodes.get(id)?.since ?? 0;
          return view.tasksOn(id).filter((task) => task.createdAt >= since);
        },
      })),
  },
  {
    name: "ends-both-when-a-node-is-back",
    breaks: "both",
    seed: "7",
    faults: { linkIsCut: 0.08 },
    controllersStore: (store) =>
      withCommit(store, (changes) => store.commit([...changes, ...keepersOf(store, changes)])),
  },
  {
    name: "lets-no-surplus-end",
    breaks: "T8",
    seed: "1",
    faults: { ...ONLY_LINKS, linkIsCut: 0.06 },
    controllersStore: (store) =>
      withCommit(store, (changes) =>
        store.commit(changes.filter((change) => !tellsWhy(change, "holds its slot"))),
      ),
  },
  {
    name: "wants-what-its-slot-has-gone-on-without",
    breaks: "retired",
    seed: "2",
    controllersStore: (store) =>
      withCommit(store, (changes) => {
        const isRetired = (change: Change) => {
          if (change.kind !== "task" || change.op !== "put") return false;
          const before = store.view().tasks.get(change.value.id);
          const hasEnded = before?.desired === "running" && isTerminal(before.state);
          return hasEnded && change.value.desired === "shutdown";
        };
        return store.commit(changes.filter((change) => !isRetired(change)));
      }),
  },
  {
    name: "starts-what-is-only-staged",
    breaks: "staged",
    dispatcherStore: (store) =>
      withView(store, (view) => ({
        tasksOn: (id) =>
          view.tasksOn(id).map((task): Task => {
            return task.desired === "prepared" ? { ...task, desired: "running" } : task;
          }),
      })),
  },
  {
    name: "does-again-what-is-done",
    breaks: "jobs",
    controllersStore: (store) =>
      withTasks(store, (tasks) =>
        tasks.map((task) => (task.state === "complete" ? { ...task, state: "shutdown" } : task)),
      ),
  },
  {
    name: "forgets-which-times-had-a-run",
    breaks: "S16",
    controllersStore: (store) =>
      withServices(store, (service) => {
        const handled = service.runs?.handled;
        if (service.runs === undefined || handled === undefined) return service;
        const earlier = { ...handled, until: handled.until - 60_000 };
        return { ...service, runs: { ...service.runs, handled: earlier } };
      }),
  },
  {
    name: "loses-runs-that-were-missed",
    breaks: "S16",
    controllersStore: (store) =>
      withCommit(store, (changes) => store.commit(changes.map(withoutNewRuns))),
  },
  {
    name: "waits-for-nobody",
    breaks: "waits",
    controllersStore: (store) =>
      withServices(store, (service) => ({
        ...service,
        revisions: service.revisions.map((revision) => {
          return { ...revision, spec: { ...revision.spec, dependsOn: undefined } };
        }),
      })),
  },
  {
    name: "loses-updates",
    breaks: "T8",
    store: (store) => {
      let stale: { version: number; task: Task } | undefined;
      return withCommit(store, (changes) => {
        const fresh = changes.map((change) => {
          if (change.kind !== "task" || change.op !== "put") return change;
          const { value } = change;
          const old = stale?.task.id === value.id ? stale.task : undefined;
          stale ??= { version: 0, task: value };
          if (old !== undefined) stale = undefined;
          // A writer that takes its old copy for the newest one.
          return old === undefined
            ? change
            : { ...change, value: { ...old, version: value.version } };
        });
        return store.commit(fresh);
      });
    },
  },
];

/** A write that moves a schedule on and forgets the run that goes with it. */
function withoutNewRuns(change: Change): Change {
  if (change.kind !== "service" || change.op !== "put") return change;
  const { runs } = change.value;
  if (runs?.handled === undefined) return change;
  const list = runs.list.filter((run) => run.scheduledAt === undefined);
  return put.service({ ...change.value, runs: { ...runs, list } });
}

/** Whether this ends a task for a reason that ends so. */
function tellsWhy(change: Change, reason: string): boolean {
  if (change.kind !== "task" || change.op !== "put") return false;
  return change.value.desired === "shutdown" && change.value.message.endsWith(reason);
}

/** Where a task is to make room: the one of the highest priority is, in its place. */
function withHighestVictim(view: View, change: Change): Change {
  if (change.kind !== "task" || change.op !== "put") return change;
  const { message, desired } = change.value;
  if (desired !== "shutdown" || !message.startsWith("makes room for")) return change;
  const priority = (task: Task) => {
    const service = view.services.get(task.serviceId);
    return service === undefined ? 0 : priorityOf(service);
  };
  const [highest = change.value] = [...view.tasks.values()]
    .filter((task) => isLive(task) && task.nodeId !== undefined)
    .sort((a, b) => priority(b) - priority(a));
  return put.task({ ...highest, desired, message });
}

/** The ends of the tasks for which others end. */
function keepersOf(store: Store, changes: readonly Change[]): Change[] {
  return changes.flatMap((change): Change[] => {
    if (!tellsWhy(change, "holds its slot")) return [];
    if (change.kind !== "task" || change.op !== "put") return [];
    const { id, serviceId, slot } = change.value;
    return store
      .view()
      .tasksOf(serviceId)
      .filter((task) => task.slot === slot && task.id !== id && isLive(task))
      .map((task) => put.task({ ...task, desired: "shutdown" }));
  });
}

/** A clock by which its process never stood still. */
function withoutPauses(clock: Clock): Clock {
  let last = clock.monotonicNow();
  let pausedMs = 0;
  const monotonicNow = () => {
    const passedMs = clock.monotonicNow() - last;
    last += passedMs;
    if (passedMs > 3000) pausedMs += passedMs;
    return last - pausedMs;
  };
  return {
    now: () => clock.now(),
    monotonicNow,
    after: (delayMs, run) => clock.after(delayMs, run),
  };
}

function asCreated({ taskId, containerId }: ContainerStatus): ContainerStatus {
  return { taskId, containerId, state: "created" };
}

function methodsOf(state: AgentMemory): AgentMemory {
  return {
    assignments: () => state.assignments(),
    saveAssignments: (set) => state.saveAssignments(set),
    statuses: () => state.statuses(),
    saveStatus: (statuses) => state.saveStatus(statuses),
    deleteStatus: (taskIds) => state.deleteStatus(taskIds),
    networkMap: () => state.networkMap(),
    saveNetworkMap: (map) => state.saveNetworkMap(map),
    contentIds: () => state.contentIds(),
    loadContent: (id) => state.loadContent(id),
    saveContent: (id, sealed) => state.saveContent(id, sealed),
    deleteContents: (ids) => state.deleteContents(ids),
  };
}
