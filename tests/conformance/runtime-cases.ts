import { test } from "bun:test";
import { registerSkipped } from "./skip-suite.ts";

/** What a driver can't do, by the title of the case, with the reason. */
export type Cannot = Readonly<Record<string, string>>;

export type Case = (title: string, run: () => Promise<void> | void, timeoutMs?: number) => void;

/** Registers a suite's cases; one that the driver can't do is skipped, and the reason printed. */
export function casesOf(driver: string, cannot: Cannot): Case {
  return (title, run, timeoutMs) => {
    const reason = cannot[title];
    if (reason === undefined) return test(title, run, timeoutMs);
    console.error(`*** SKIPPED for ${driver}: ${title}: ${reason}.`);
    registerSkipped(title, reason);
  };
}
