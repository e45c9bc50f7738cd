import type { Timer } from "./timer-queue.ts";

/** One member's reasons to think that another is gone, and until when that one may answer. */
export interface Suspicion {
  startedAt: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Confirmations that bring the time down to the least; 0: it began there. */
  readonly wanted: number;
  /** Who said so, the first one included, which is no confirmation. */
  readonly accusers: Set<string>;
  timer: Timer<() => void> | undefined;
}

/** Confirmations so far. */
export function confirmationsOf(suspicion: Suspicion): number {
  return suspicion.accusers.size - 1;
}

/**
 * Notes that `accuser` says so too. Answers whether that is news: not the same one again, and not
 * more than are wanted.
 */
export function confirm(suspicion: Suspicion, accuser: string): boolean {
  if (confirmationsOf(suspicion) >= suspicion.wanted) return false;
  if (suspicion.accusers.has(accuser)) return false;
  suspicion.accusers.add(accuser);
  return true;
}

/**
 * When the suspect is given up: from the most to the least time with the logarithm of the
 * confirmations (Lifeguard, section IV-B: `max - (max - min) ln(C + 1) / ln(K + 1)`, whole
 * milliseconds as memberlist has them).
 */
export function expiryOf(suspicion: Suspicion): number {
  const { startedAt, minMs, maxMs, wanted } = suspicion;
  if (wanted < 1) return startedAt + minMs;
  const fraction = Math.log(confirmationsOf(suspicion) + 1) / Math.log(wanted + 1);
  return startedAt + Math.max(minMs, Math.floor(maxMs - fraction * (maxMs - minMs)));
}
