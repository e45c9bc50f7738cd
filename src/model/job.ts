import { z } from "zod";
import { CRON_LENGTH_MAX, parseCron } from "./cron.ts";
import { timeZoneOf } from "./time-zone.ts";

const milliseconds = z.int().min(0);
/** Milliseconds since 1970, by the server's clock. */
const at = z.int();

/** Finished runs that a service can keep, with their tasks. */
export const HISTORY_MAX = 100;
/** Missed times that are caught up at most. */
export const MISSED_MAX = 100;

/** How a job is done, beyond how often and with which restart policy. */
export const jobPolicySchema = z.object({
  /** Slots worked at once; absent means all, as in Swarm. */
  parallelism: z.int().min(1).optional(),
  /** Failed tasks that a run may have in all its slots together; absent means no limit. */
  retries: z.int().min(0).optional(),
  /** How long a run may take from its start, waiting included; absent means no limit. */
  deadlineMs: milliseconds.optional(),
});
export type JobPolicy = z.infer<typeof jobPolicySchema>;

export const scheduleSchema = z.object({
  /** The five fields of crontab(5), or a nickname such as `@hourly`. */
  cron: z
    .string()
    .max(CRON_LENGTH_MAX)
    .refine((text) => "cron" in parseCron(text), "is no cron line that fires"),
  /** A name of the IANA database, such as `Europe/Berlin`. */
  timeZone: z
    .string()
    .max(64)
    .refine((name) => timeZoneOf(name) !== undefined, "is no time zone that is known here"),
  /** What happens at a time when the run before it is not over. */
  overlap: z.enum(["allow", "skip", "replace"]),
  /** How many runs follow on times at which nobody was there to begin them. */
  missed: z.enum(["once", "skip", "all"]),
  /** A run that can't begin within so long after its time is not begun; absent means no limit. */
  deadlineMs: milliseconds.optional(),
  /** Finished runs whose tasks are kept. */
  history: z.int().min(0).max(HISTORY_MAX),
});
export type Schedule = z.infer<typeof scheduleSchema>;

export const jobRunSchema = z.object({
  /** Counts the runs of the service. */
  run: z.int().min(1),
  /** The service's newest revision when it began. */
  revision: z.int().min(1),
  /** Its time by the schedule; absent where somebody asked for it. */
  scheduledAt: at.optional(),
  startedAt: at,
  finishedAt: at.optional(),
  /** Absent until it is over. */
  result: z.enum(["complete", "failed", "replaced"]).optional(),
  /** Tasks that were to complete and those that did, once it is over. */
  wanted: z.int().optional(),
  completed: z.int().optional(),
  /** Why it failed, in one sentence; empty when there is nothing to say. */
  message: z.string().max(4096),
});
export type JobRun = z.infer<typeof jobRunSchema>;

/** So often a clock that keeps no time is set back before it is right again, at the most. */
export const SET_BACKS_MAX = 16;

/** How far the times of a schedule have been dealt with. */
export const handledSchema = z.object({
  /** The line and zone that this is about: with another one the count begins anew. */
  schedule: z.string(),
  /** The latest time that was dealt with: it never goes back, so that no time counts twice. */
  until: at,
  /**
   * The same for a clock that was set back by hours, once or again and again: each is earlier than
   * the one before it, and the last one counts until the clock reaches the one before it again.
   */
  setBack: z.array(at).min(1).max(SET_BACKS_MAX).optional(),
  /** The time that was dealt with before the clock leapt forth by hours, in case it comes back. */
  leaptFrom: at.optional(),
});

/** What a job remembers of its runs; written together with the tasks that begin them. */
export const jobRunsSchema = z.object({
  /** The number of the latest run. */
  count: z.int().min(0),
  /** Those that are not over and the last finished ones, the newest first. */
  list: z.array(jobRunSchema),
  handled: handledSchema.optional(),
  /** Times of the schedule that had no run since the service was made. */
  skipped: z.int().min(0),
  lastSkip: z.object({ at, reason: z.string().max(255) }).optional(),
});
export type JobRuns = z.infer<typeof jobRunsSchema>;

/** Of a service that has never run. */
export const NO_RUNS: JobRuns = { count: 0, list: [], skipped: 0 };

export function isOver(run: JobRun): boolean {
  return run.result !== undefined;
}

/** The runs with one more, which begins now. */
export function withRun(
  runs: JobRuns,
  begin: Pick<JobRun, "revision" | "startedAt" | "scheduledAt">,
): JobRuns {
  const run = { run: runs.count + 1, ...begin, message: "" };
  return { ...runs, count: run.run, list: [run, ...runs.list] };
}
