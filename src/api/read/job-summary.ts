import { markOf, nextRunAt } from "../../core/reconcile/cron.ts";
import { countRun } from "../../core/reconcile/job.ts";
import { NO_RUNS } from "../../model/job.ts";
import { specOf, type Service } from "../../model/service.ts";
import type { JobSummary } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";

/** The runs of a job, and its times if it has a schedule. */
export function jobSummary(view: View, service: Service): JobSummary {
  const { schedule } = specOf(service);
  const { list, skipped, lastSkip, handled } = service.runs ?? NO_RUNS;
  const runs = list.map((run) => ({ ...run, ...countRun(view, service, run) }));
  const nextAt = nextRunAt(service);
  const { cron, timeZone } = schedule ?? {};
  return {
    runs,
    skipped,
    ...(cron === undefined ? {} : { cron }),
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(nextAt === undefined ? {} : { nextAt }),
    ...(handled === undefined || schedule === undefined ? {} : { lastAt: markOf(handled) }),
    ...(lastSkip === undefined ? {} : { lastSkip }),
  };
}
