import { remove } from "../../src/model/change.ts";
import type { Bug } from "./bug.ts";
import { withCommit, withView, wrap } from "./wrap.ts";

/** Faults of what is written to the store, and of the store itself. */
export const STORE_BUGS: readonly Bug[] = [
  {
    name: "forgets-tasks-before-their-nodes-do",
    breaks: ["T3"],
    controllersStore: (store) =>
      withCommit(store, (changes) =>
        store.commit(
          changes.map((change) => {
            if (change.kind !== "task" || change.op !== "put") return change;
            const isOnWayOut = change.value.desired === "removed";
            return isOnWayOut ? remove.task(change.value) : change;
          }),
        ),
      ),
  },
  {
    name: "reads-from-a-copy-that-is-behind",
    breaks: ["S8"],
    store: (store) => {
      const copy = () => {
        const { version, tasks, services } = store.view();
        return { version, tasks: new Map(tasks), services: new Map(services) };
      };
      let [older, newer] = [copy(), copy()];
      store.watch(() => ([older, newer] = [newer, copy()]));
      return withView(store, () => older);
    },
  },
  {
    name: "tells-watchers-of-every-other-commit",
    breaks: ["S9"],
    store: (store) =>
      wrap(store, {
        watch: (onCommit) => {
          let commits = 0;
          return store.watch((commit) => {
            if (commits++ % 2 === 0) onCommit(commit);
          });
        },
      }),
  },
  {
    name: "tells-watchers-of-half-a-commit",
    breaks: ["S9"],
    store: (store) =>
      wrap(store, {
        watch: (onCommit) =>
          store.watch(({ version, applied }) => {
            onCommit({ version, applied: applied.slice(0, Math.ceil(applied.length / 2)) });
          }),
      }),
  },
];
