/** What must hold after every event; numbered as the checkers name them. */
export const INVARIANTS = {
  T1: "every task has a service",
  T2: "a task that is assigned, or further on its way, has a node",
  T3: "a task goes from the store when it has ended and was told to go, or nobody can be told",
  T4: "the id of a task is used once",
  T5: "a task's state only moves forward, and an ended task only to removed",
  T6: "a change leaves a task's identity, slot, revision and node alone",
  T7: "a service keeps its mode",
  T8: "when the faults stop, the cluster becomes what was asked for",
  S1: "the tasks of a node reserve no more than it has",
  S2: "no two tasks of a node hold one port of it, or one device that is for one task",
  S3: "a task is placed where its constraints hold, and its rules about other services",
  S4: "a drained or paused node gets no new task",
  S5: "a slot that is tied to its node never runs on two of them",
  S6: "an agent takes no set that is older than the one it has",
  S7: "what was acknowledged is on the disk",
  S8: "the store's version grows, and nobody reads one from before an acknowledged write",
  S9: "watchers hear of each commit once, in order and whole",
  S10: "an agent removes no container that is still wanted",
  S11: "a volume with data goes when somebody asked for that, and not what was made later",
  S12: "in the end each container belongs to a task, and each running task has one",
  S13: "a rollout takes no more than it may, and goes back once, to what was there",
  S15: "attempts wait as the restart policy says, and are as many as it allows",
  S16: "each time of a schedule has one run, or a reason why it has none",
  O1: "what ran on a node when its server went comes back there without it, whatever crashes",
  O2: "an agent stops no container that is well and still wanted, as when its server is back",
  M1: "a seed is the same run each time",
  H1: "a node whose agent has been connected for long is not down",
  H2: "a server that did not run for a while calls no node down that is there",
  jobs: "a slot of a job is done once, and a run is complete when all are",
  waits: "nothing starts for the first time before what it depends on is there",
  one: "a slot has one task, one more beside it in an update, and one that may come back",
  tied: "a task that is tied to a node is placed there",
  priority: "a task makes room for a higher priority alone, and few do so in a minute",
  scaled:
    "a service that scales itself keeps its bounds and waits, and has what it needs in the end",
  leaving: "a drained node is left as its services ask, slot by slot",
  balance: "one task of a service at a time moves for balance",
  both: "of two tasks of a slot one goes on",
  surge: "no more tasks of a slot run than its update order allows",
  once: "a task is started once",
  retired: "an ended task that its slot has gone on without is wanted no more",
  staged: "a task that is only to be made ready is not started",
  durable: "an agent is told only what is on the server's disk",
} as const;
export type Invariant = keyof typeof INVARIANTS;

/** The first invariant that was broken in a run. */
export interface Violation {
  invariant: Invariant;
  message: string;
}

export function formatViolation({ invariant, message }: Violation): string {
  return `${invariant} (${INVARIANTS[invariant]}) is broken: ${message}`;
}
