import type { Random } from "../../src/lib/random.ts";
import { happens, oneOf } from "./chance.ts";

/** How often things go wrong in one run: probabilities for a call, or for a second of the run. */
export interface Faults {
  /** A call of the runtime fails, and nothing has happened. */
  callFails: number;
  /** A call of the runtime does its work, and its answer is lost. */
  answerIsLost: number;
  /** A call of the runtime takes longer than its caller waits. */
  callHangs: number;
  /** The runtime's service goes away for a while. */
  runtimeLeaves: number;
  /** A running container crashes. */
  containerCrashes: number;
  /** Somebody removes a container behind our back. */
  containerVanishes: number;
  /** The agent is killed, at any point. */
  agentDies: number;
  /** The server is killed, at any point. */
  serverDies: number;
  /** The server is stopped for a while, as by SIGSTOP or with its machine asleep. */
  serverPauses: number;
  /** The link between the server and a node is cut for a while. */
  linkIsCut: number;
  /** A set that its agent had before comes once more. */
  oldSetComes: number;
  /** A machine loses its power for a while. */
  powerIsCut: number;
  /** Gossip suspects a node that is there. */
  falselySuspected: number;
  /** The clock of a machine is wrong from the start: a probability for each machine. */
  clockIsWrong: number;
  /** The clock of the server's machine is set forth or back. */
  serverClockJumps: number;
  /** UDP of a machine is blocked from the start: a probability for each machine. */
  udpIsBlocked: number;
  /** The server's disk refuses a write. */
  diskRefuses: number;
  /** The agent's disk refuses a write. */
  agentDiskRefuses: number;
}

export const NO_FAULTS: Faults = {
  callFails: 0,
  answerIsLost: 0,
  callHangs: 0,
  runtimeLeaves: 0,
  containerCrashes: 0,
  containerVanishes: 0,
  agentDies: 0,
  serverDies: 0,
  serverPauses: 0,
  linkIsCut: 0,
  oldSetComes: 0,
  powerIsCut: 0,
  falselySuspected: 0,
  clockIsWrong: 0,
  serverClockJumps: 0,
  udpIsBlocked: 0,
  diskRefuses: 0,
  agentDiskRefuses: 0,
};

/** The rates that each kind of fault can have in a run, where it is on. */
const RATES: Faults = {
  callFails: 0.1,
  answerIsLost: 0.1,
  callHangs: 0.04,
  runtimeLeaves: 0.02,
  containerCrashes: 0.2,
  containerVanishes: 0.05,
  agentDies: 0.06,
  serverDies: 0.06,
  serverPauses: 0.02,
  linkIsCut: 0.03,
  oldSetComes: 0.1,
  powerIsCut: 0.02,
  falselySuspected: 0.05,
  clockIsWrong: 0.3,
  serverClockJumps: 0.01,
  udpIsBlocked: 0.3,
  diskRefuses: 0.05,
  agentDiskRefuses: 0.05,
};

/** Each kind of fault is off in half of all runs: a run of few kinds reaches further. */
export function drawFaults(random: Random): Faults {
  const rates = { ...NO_FAULTS };
  for (const kind of Object.keys(RATES) as (keyof Faults)[]) {
    const own = random.split(kind);
    if (happens(own, 0.5)) rates[kind] = RATES[kind] * oneOf(own, [0.3, 1, 2]);
  }
  return rates;
}
