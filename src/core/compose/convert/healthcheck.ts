import {
  PROBE_COUNT_MAX,
  PROBE_INTERVAL_MIN_MS,
  PROBE_TIME_MAX_MS,
  type Check,
  type Healthcheck,
} from "../../../model/probe.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const FORMS = "must begin with NONE, CMD or CMD-SHELL";

/** `healthcheck`, as far as the file says it; what it does not say is left to the image. */
export function healthcheckOf(at: Cursor | undefined): Healthcheck | undefined {
  if (at === undefined) return undefined;
  const test = at.get("test");
  const disable = at.get("disable")?.flag() ?? false;
  if (disable && test !== undefined && !isNone(test)) {
    at.get("disable")?.error("does not go with test; keep one of them");
  }
  if (disable || (test !== undefined && isNone(test))) return { disabled: true };
  return {
    disabled: false,
    ...withoutUndefined({
      check: test && commandOf(test),
      // As in Docker, 0 leaves it to the image, or to the default.
      intervalMs: intervalOf(at.get("interval")),
      timeoutMs: durationOf(at.get("timeout")) || undefined,
      failures: at.get("retries")?.integer(0, PROBE_COUNT_MAX) || undefined,
      startPeriodMs: durationOf(at.get("start_period")) || undefined,
      startIntervalMs: intervalOf(at.get("start_interval")),
    }),
  };
}

/** A command line for the shell, or the words of a command. */
export function shellCommandOf(text: string): string[] {
  return ["/bin/sh", "-c", text];
}

/** A time for timers; 0 where none is. */
export function durationOf(at: Cursor | undefined): number | undefined {
  const ms = at?.durationMs();
  if (ms === undefined || ms <= PROBE_TIME_MAX_MS) return ms;
  return at?.error("must be at most 24 days");
}

/** How often something is asked; undefined for 0 as well. */
export function intervalOf(at: Cursor | undefined): number | undefined {
  const ms = durationOf(at);
  if (ms === undefined || ms === 0) return undefined;
  return ms >= PROBE_INTERVAL_MIN_MS
    ? ms
    : at?.error(`must be at least ${PROBE_INTERVAL_MIN_MS}ms`);
}

function isNone(test: Cursor): boolean {
  const [first] = test.items();
  return first?.text() === "NONE";
}

function commandOf(test: Cursor): Check | undefined {
  if (test.node.kind !== "list") {
    const text = test.text() ?? "";
    if (text.trim() === "") return test.error("has no command");
    return { type: "exec", command: shellCommandOf(text) };
  }
  const [kind, ...words] = test.items().map((item) => item.text() ?? "");
  // An empty list leaves it to the image, as in Docker.
  if (kind === undefined) return undefined;
  if (kind !== "CMD" && kind !== "CMD-SHELL") return test.error(FORMS);
  if (words.length === 0) return test.error(`has no command after ${kind}`);
  return {
    type: "exec",
    command: kind === "CMD" ? words : ["/bin/sh", "-c", ...words],
  };
}
