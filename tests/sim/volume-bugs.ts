import type { Bug } from "./bug.ts";
import { withView, wrap } from "./wrap.ts";

/** Faults of what becomes of data. */
export const VOLUME_BUGS: readonly Bug[] = [
  {
    name: "takes-the-data-with-every-stack",
    breaks: "S11",
    controllersStore: (store) =>
      withView(store, ({ stacks }) => ({
        stacks: new Map([...stacks].map(([name, one]) => [name, { ...one, removeVolumes: true }])),
      })),
  },
  {
    name: "removes-volumes-later-than-it-says",
    breaks: "S11",
    runtime: (runtime) => {
      const due = new Set<string>();
      return wrap(runtime, {
        removeVolume: async (name) => void due.add(name),
        remove: async (taskId) => {
          await runtime.remove(taskId);
          // One that a container has is tried again after the next one.
          for (const name of due) await runtime.removeVolume(name).catch(() => undefined);
        },
      });
    },
  },
];
