import { put, type Change } from "../../src/model/change.ts";
import type { TaskId } from "../../src/model/ids.ts";
import type { Task } from "../../src/model/task.ts";
import type { Store } from "../../src/store/store.ts";
import type { Bug } from "./bug.ts";
import { withCommit, withView } from "./wrap.ts";

/** Faults of what is written of tasks and services, whoever writes it. */
export const TASK_BUGS: readonly Bug[] = [
  {
    name: "forgets-services-before-their-tasks",
    breaks: "T1",
    controllersStore: (store) =>
      withView(store, (view) => ({
        tasksOf: (id) => (view.services.get(id)?.removing === true ? [] : view.tasksOf(id)),
      })),
  },
  {
    name: "assigns-tasks-to-no-node",
    breaks: "T2",
    controllersStore: (store) =>
      withTaskWrites(store, (before, task) => {
        const { nodeId: _, ...rest } = task;
        return before?.state === "pending" && task.state === "assigned" ? rest : undefined;
      }),
  },
  {
    name: "gives-an-id-again",
    breaks: "T4",
    controllersStore: (store) => {
      const gone: TaskId[] = [];
      return withCommit(store, (changes) => {
        const known = gone.splice(0);
        const written = changes.map((change) => {
          if (change.kind !== "task" || change.op !== "put" || change.value.version > 0) {
            return change;
          }
          const id = known.pop();
          return id === undefined ? change : put.task({ ...change.value, id });
        });
        gone.push(...known);
        for (const change of changes) {
          if (change.kind === "task" && change.op === "delete") gone.push(change.key);
        }
        return store.commit(written);
      });
    },
  },
  {
    name: "takes-a-state-back",
    breaks: "T5",
    dispatcherStore: (store) =>
      withTaskWrites(store, (before, task) => {
        const isOld = before?.state === "running" && task.state === "running";
        return isOld ? { ...task, state: "starting" } : undefined;
      }),
  },
  {
    name: "writes-another-slot",
    breaks: "T6",
    dispatcherStore: (store) =>
      withTaskWrites(store, (before, task) => {
        const isStarted = before?.state === "starting" && task.state === "running";
        return isStarted ? { ...task, slot: "7" } : undefined;
      }),
  },
  {
    name: "changes-the-mode-of-a-service",
    breaks: "T7",
    store: (store) => withCommit(store, (changes) => store.commit(changes.map(withAnotherMode))),
  },
];

/** The same write of another revision, but that its service holds tasks in another way. */
function withAnotherMode(change: Change): Change {
  if (change.kind !== "service" || change.op !== "put") return change;
  const [head, ...older] = change.value.revisions;
  if (head === undefined || older.length === 0) return change;
  const mode = head.spec.mode === "global" ? "replicated" : "global";
  return put.service({
    ...change.value,
    revisions: [{ ...head, spec: { ...head.spec, mode } }, ...older],
  });
}

/** @param write what is written in place of a task, where that is something else */
function withTaskWrites(
  store: Store,
  write: (before: Task | undefined, after: Task) => Task | undefined,
): Store {
  return withCommit(store, (changes) => {
    const { tasks } = store.view();
    return store.commit(
      changes.map((change) => {
        if (change.kind !== "task" || change.op !== "put") return change;
        const other = write(tasks.get(change.value.id), change.value);
        return other === undefined ? change : put.task(other);
      }),
    );
  });
}
