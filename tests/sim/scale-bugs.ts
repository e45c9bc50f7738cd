import { put, type Change } from "../../src/model/change.ts";
import type { Bug } from "./bug.ts";
import { withCommit, wrap } from "./wrap.ts";

/** So much faster than time a clock goes that makes every wait too short. */
const HASTE = 20;

/** Faults of services that scale themselves. */
export const SCALE_BUGS: readonly Bug[] = [
  {
    name: "scales-beyond-its-bounds",
    breaks: "scaled",
    seed: "1-6",
    autoscalerStore: (store) =>
      withCommit(store, (changes) => store.commit(changes.map((one) => scaledBy(one, 9)))),
  },
  {
    name: "scales-down-too-early",
    breaks: "scaled",
    seed: "1-12",
    autoscalerClock: (clock) => {
      const begin = clock.now();
      return wrap(clock, { now: () => begin + (clock.now() - begin) * HASTE });
    },
  },
  {
    name: "never-scales",
    breaks: "scaled",
    seed: "1-1",
    autoscalerStore: (store) =>
      withCommit(store, async () => ({ ok: true, version: store.view().version })),
  },
];

function scaledBy(change: Change, more: number): Change {
  if (change.kind !== "service" || change.op !== "put") return change;
  const { scaledTo = 0 } = change.value;
  return put.service({ ...change.value, scaledTo: scaledTo + more });
}
