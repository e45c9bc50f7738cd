import { constants } from "node:os";

/** Real-time signals, which Node does not name: SIGRTMIN is 34 and SIGRTMAX 64 with glibc. */
const REAL_TIME_MIN = 34;
const REAL_TIME_MAX = 64;

/** The number of `SIGTERM`, `term`, `SIGRTMIN+3` or `15`; undefined for no such signal. */
export function signalNumberOf(text: string): number | undefined {
  const name = text.trim().toUpperCase();
  if (/^\d+$/.test(name)) return within(Number(name));
  const full = name.startsWith("SIG") ? name : `SIG${name}`;
  const realTime = full.match(/^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/);
  if (realTime !== null) {
    const base = realTime[1] === "MIN" ? REAL_TIME_MIN : REAL_TIME_MAX;
    const offset = Number(realTime[3] ?? 0) * (realTime[2] === "-" ? -1 : 1);
    return within(base + offset);
  }
  const known: Record<string, number> = constants.signals;
  return known[full];
}

function within(number: number): number | undefined {
  return number >= 1 && number <= REAL_TIME_MAX ? number : undefined;
}
