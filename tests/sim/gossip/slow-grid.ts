import { PRESETS, type Tuning } from "../../../src/core/gossip/tuning.ts";
import { measureSlow, type SlowResult } from "./slow-members.ts";

/** What a protocol is made of, for the experiment with slow members. */
export interface Protocol {
  name: string;
  tuning: Tuning;
  hasBuddies: boolean;
  /** In percent of SWIM, as the Lifeguard paper has it (arXiv 1707.00788, tables of results). */
  paper?: { falsePositives: number; atHealthy: number; packets: number; bytes: number };
}

/** Every combination of how many are slow, how long each is blocked and how long it is free. */
export interface Grid {
  slow: readonly number[];
  blockedMs: readonly number[];
  freeMs: readonly number[];
}

const lifeguard: Tuning = { ...PRESETS.lan, suspicionMult: 5, confirmations: 3 };
const fixedHealth = { awarenessMax: 1 };
/** Confirmations are Lifeguard's: plain SWIM neither counts nor passes them on. */
const fixedSuspicion = { suspicionMaxMult: 1, confirmations: 0 };

export const LIFEGUARD: Protocol = {
  name: "Lifeguard",
  tuning: lifeguard,
  hasBuddies: true,
  paper: { falsePositives: 1.53, atHealthy: 1.89, packets: 110.59, bytes: 97.97 },
};

export const SWIM: Protocol = {
  name: "SWIM",
  tuning: { ...lifeguard, ...fixedHealth, ...fixedSuspicion },
  hasBuddies: false,
  paper: { falsePositives: 100, atHealthy: 100, packets: 100, bytes: 100 },
};

/** Each of Lifeguard's three parts alone. */
export const LIFEGUARD_PARTS: readonly Protocol[] = [
  {
    name: "LHA-Probe",
    tuning: { ...lifeguard, ...fixedSuspicion },
    hasBuddies: false,
    paper: { falsePositives: 67.72, atHealthy: 32.88, packets: 98.46, bytes: 90.03 },
  },
  {
    name: "LHA-Suspicion",
    tuning: { ...lifeguard, ...fixedHealth },
    hasBuddies: false,
    paper: { falsePositives: 3, atHealthy: 6.71, packets: 111.31, bytes: 106.52 },
  },
  {
    name: "Buddy System",
    tuning: SWIM.tuning,
    hasBuddies: true,
    paper: { falsePositives: 94.08, atHealthy: 44.57, packets: 100.07, bytes: 99.01 },
  },
];

/** What real memberlist can be turned into: plain times, but confirmations and buddies as ever. */
export const SWIM_LIKE: Protocol = {
  name: "SWIM-like",
  tuning: { ...lifeguard, ...fixedHealth, suspicionMaxMult: 1 },
  hasBuddies: true,
};

export const ORCHD: Protocol = { name: "orchd", tuning: PRESETS.orchd, hasBuddies: true };

const MEMBERS = 128;
const DURATION_MS = 120_000;
/** With this, 64 ms and 1 ms free bring about as many false positives as in real memberlist. */
const BACKLOG_MS = 0.05;

/** False positives of the whole grid, and the mean traffic. */
export function measureGrid(protocol: Protocol, grid: Grid, seed: string): SlowResult {
  const { tuning, hasBuddies } = protocol;
  const cells: SlowResult[] = [];
  for (const slow of grid.slow) {
    for (const blockedMs of grid.blockedMs) {
      for (const freeMs of grid.freeMs) {
        const cell = { slow, blockedMs, freeMs, tuning, hasBuddies };
        cells.push(
          measureSlow({
            ...cell,
            seed: `${seed}/${slow}/${blockedMs}/${freeMs}`,
            members: MEMBERS,
            durationMs: DURATION_MS,
            slowness: "blocked",
            backlogMs: BACKLOG_MS,
          }),
        );
      }
    }
  }
  const sum = (key: keyof SlowResult) => cells.reduce((total, cell) => total + cell[key], 0);
  return {
    falsePositives: sum("falsePositives"),
    atHealthy: sum("atHealthy"),
    packetsPerMemberSecond: sum("packetsPerMemberSecond") / cells.length,
    bytesPerMemberSecond: sum("bytesPerMemberSecond") / cells.length,
    streamBytesPerMemberSecond: sum("streamBytesPerMemberSecond") / cells.length,
  };
}
