import { parseCron } from "../../../model/cron.ts";
import { HISTORY_MAX, scheduleSchema } from "../../../model/job.ts";
import type { JobPolicy, Schedule } from "../../../model/job.ts";
import { isGlobal, isJob, REPLICAS_MAX, type ServiceSpec } from "../../../model/service.ts";
import { timeZoneOf } from "../../../model/time-zone.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

/** Finished runs whose tasks are kept, where the file does not say. */
const HISTORY = 3;

type Scale = Pick<ServiceSpec, "mode" | "replicas">;

/** What a job has beside its mode: `x-orchd.job` and `x-orchd.schedule`. */
export function jobOf(service: Cursor, { mode, replicas }: Scale): Partial<ServiceSpec> {
  const given = service.get("x-orchd");
  const [job, schedule] = [given?.get("job"), given?.get("schedule")];
  if (!isJob({ mode })) {
    for (const one of [job, schedule]) {
      one?.error(`needs deploy.mode: replicated-job or global-job, not ${mode}`);
    }
    return {};
  }
  const config = service.get("deploy")?.get("update_config");
  config?.error("does not go with a job, which is run again as a whole when it is changed");
  const policy = jobPolicyOf(job, { mode, replicas }, service.get("deploy")?.has("replicas"));
  return withoutUndefined({
    replicas: completionsOf(job, mode),
    job: Object.keys(policy).length === 0 ? undefined : policy,
    schedule: schedule && scheduleOf(schedule),
  });
}

function completionsOf(job: Cursor | undefined, mode: Scale["mode"]): number | undefined {
  const completions = job?.get("completions");
  if (completions === undefined || !isGlobal({ mode }))
    return completions?.integer(1, REPLICAS_MAX);
  return completions.error("does not go with deploy.mode: global-job, once on each node");
}

/** Replicas say how many run at once where completions say how many there are. */
function jobPolicyOf(
  job: Cursor | undefined,
  { replicas }: Scale,
  hasReplicas: boolean | undefined,
): JobPolicy {
  const both = hasReplicas === true && job?.has("completions") === true;
  return withoutUndefined({
    parallelism: job?.get("parallelism")?.integer(1, REPLICAS_MAX) ?? (both ? replicas : undefined),
    retries: job?.get("retries")?.integer(0),
    deadlineMs: job?.get("deadline")?.durationMs(),
  });
}

function scheduleOf(at: Cursor): Schedule | undefined {
  const line = at.isMap ? at.get("cron") : at;
  const cron = line?.text();
  if (line === undefined || cron === undefined) return at.error("needs cron");
  const parsed = parseCron(cron);
  if ("problem" in parsed) return line.error(parsed.problem);
  const timeZone = at
    .get("time_zone")
    ?.parsed(
      (name) => (timeZoneOf(name) === undefined ? undefined : name),
      "must be a time zone of the IANA database, such as Europe/Berlin",
    );
  const { overlap, missed } = scheduleSchema.shape;
  return withoutUndefined({
    cron: cron.trim(),
    timeZone: timeZone ?? "UTC",
    overlap: overlap.safeParse(at.get("overlap")?.text()).data ?? "skip",
    missed: missed.safeParse(at.get("missed")?.text()).data ?? "once",
    deadlineMs: at.get("deadline")?.durationMs(),
    history: at.get("history")?.integer(0, HISTORY_MAX) ?? HISTORY,
  });
}
