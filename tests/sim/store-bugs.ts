import { remove } from "../../src/model/change.ts";
import type { Bug } from "./bug.ts";
import { withCommit } from "./wrap.ts";

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
];
