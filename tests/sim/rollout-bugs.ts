import { put, type Change } from "../../src/model/change.ts";
import type { Rollout } from "../../src/model/rollout.ts";
import type { Store } from "../../src/store/store.ts";
import type { Bug } from "./bug.ts";
import { withCommit, withServices, withSpecs } from "./wrap.ts";

/** Faults of rollouts. */
export const ROLLOUT_BUGS: readonly Bug[] = [
  {
    name: "replaces-all-slots-at-once",
    breaks: "S13",
    controllersStore: (store) =>
      withServices(store, (service) => ({
        ...service,
        revisions: service.revisions.map(({ spec, ...rest }) => {
          const { rollback: _, ...before } = spec;
          return { ...rest, spec: { ...before, update: { ...spec.update, parallelism: 0 } } };
        }),
      })),
  },
  {
    name: "counts-no-failures",
    breaks: "S13",
    seed: "2",
    controllersStore: (store) =>
      withRollouts(store, (rollout) => ({ ...rollout, failed: [], forgiven: [] })),
  },
  {
    name: "goes-on-though-paused",
    breaks: "S13",
    seed: "3",
    controllersStore: (store) =>
      withServices(store, (service) => {
        const { rollout } = service;
        if (rollout?.state !== "paused") return service;
        return { ...service, rollout: { ...rollout, state: "running" } };
      }),
  },
  {
    name: "begins-outside-of-its-windows",
    breaks: "S13",
    seed: "4",
    controllersStore: (store) =>
      withSpecs(store, (spec) => {
        const { windows: _, ...rollout } = spec.rollout ?? {};
        return spec.rollout === undefined ? spec : { ...spec, rollout };
      }),
  },
  {
    name: "goes-on-though-locked",
    breaks: "S13",
    seed: "9",
    controllersStore: (store) =>
      withRollouts(store, (rollout) => ({
        ...rollout,
        ...(rollout.locked === true ? { state: "running" } : {}),
      })),
  },
  {
    name: "goes-back-again-and-again",
    breaks: "S13",
    seed: "3",
    controllersStore: (store) =>
      withServices(store, (service) => {
        if (service.rollout?.back !== "failure") return service;
        const { back: _, ...rollout } = service.rollout;
        return { ...service, rollout: { ...rollout, state: "running" } };
      }),
  },
  {
    name: "goes-back-to-another-spec",
    breaks: "S13",
    seed: "7",
    controllersStore: (store) =>
      withCommit(store, (changes) => store.commit(changes.map(scaledOnTheWayBack))),
  },
];

/** The same write, but that a failed rollout goes back to one task more. */
function scaledOnTheWayBack(change: Change): Change {
  if (change.kind !== "service" || change.op !== "put") return change;
  const [head, ...older] = change.value.revisions;
  const { rollout } = change.value;
  if (head === undefined || rollout?.back !== "failure" || rollout.to !== head.revision) {
    return change;
  }
  const spec = { ...head.spec, replicas: head.spec.replicas + 1 };
  return put.service({ ...change.value, revisions: [{ ...head, spec }, ...older] });
}

/** Changes what is written of rollouts. */
function withRollouts(store: Store, write: (rollout: Rollout) => Rollout): Store {
  return withCommit(store, (changes) =>
    store.commit(
      changes.map((change) => {
        if (change.kind !== "service" || change.op !== "put") return change;
        const { rollout } = change.value;
        if (rollout === undefined) return change;
        return put.service({ ...change.value, rollout: write(rollout) });
      }),
    ),
  );
}
