/** Names of the signals that end programs, by their number on Linux. */
const SIGNALS = new Map([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [3, "SIGQUIT"],
  [4, "SIGILL"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [9, "SIGKILL"],
  [11, "SIGSEGV"],
  [13, "SIGPIPE"],
  [14, "SIGALRM"],
  [15, "SIGTERM"],
]);

/** `exited with code 1`, `was killed by SIGKILL (code 137)`, `ran out of memory …`. */
export function formatExit(exitCode: number, outOfMemory: boolean): string {
  if (outOfMemory) return `ran out of memory and was killed (code ${exitCode})`;
  const signal = SIGNALS.get(exitCode - 128);
  if (signal !== undefined) return `was killed by ${signal} (code ${exitCode})`;
  return `exited with code ${exitCode}`;
}
