import { systemRandom } from "../../src/lib/random.ts";
import { remove } from "../../src/model/change.ts";
import type { Bug } from "./bug.ts";
import { withCommit, withView, wrap } from "./wrap.ts";

/** Faults of what is written to the store, and of the store itself. */
export const STORE_BUGS: readonly Bug[] = [
  {
    name: "says-done-and-writes-nothing",
    breaks: "S7",
    store: (store) => {
      let stacks = 0;
      return withCommit(store, async (changes) => {
        const isOfPeople = changes.some(({ kind, op }) => kind === "stack" && op === "put");
        if (!isOfPeople || stacks++ % 2 === 0) return await store.commit(changes);
        return { ok: true, version: store.view().version };
      });
    },
  },
  {
    name: "acts-by-the-luck-of-its-host",
    breaks: "M1",
    store: (store) =>
      withCommit(store, async (changes) => {
        const [change] = changes;
        if (change === undefined || systemRandom.next() < 0.9) return await store.commit(changes);
        return { ok: false, conflict: change };
      }),
  },
  {
    name: "forgets-tasks-before-their-nodes-do",
    breaks: "T3",
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
    breaks: "S8",
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
    breaks: "S9",
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
    breaks: "S9",
    store: (store) =>
      wrap(store, {
        watch: (onCommit) =>
          store.watch(({ version, applied }) => {
            onCommit({ version, applied: applied.slice(0, Math.ceil(applied.length / 2)) });
          }),
      }),
  },
];
