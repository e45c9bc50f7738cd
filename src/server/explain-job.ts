import { nextRunAt } from "../core/reconcile/cron.ts";
import { waitOf } from "../core/reconcile/depends.ts";
import { countRun, latestRun } from "../core/reconcile/job.ts";
import { formatDuration, plural } from "../lib/text.ts";
import { isOver } from "../model/job.ts";
import { formatServiceName } from "../model/names.ts";
import { isJob, specOf, type Service } from "../model/service.ts";
import type { Explanation } from "../model/summary.ts";
import type { View } from "../model/view.ts";

/** How a job stands, in one sentence. */
export function summaryOfJob(view: View, service: Service): string {
  const run = latestRun(service);
  if (run === undefined) return "It has not run yet.";
  const { wanted, completed } = countRun(view, service, run);
  const count = `${completed} of ${plural(wanted, "task")} complete`;
  switch (run.result) {
    case "complete":
      return `Run ${run.run} is complete: ${count}.`;
    case "failed":
      return `Run ${run.run} failed with ${count}: ${run.message}.`;
    case "replaced":
      return `Run ${run.run} was replaced with ${count}.`;
    case undefined: {
      const wait = waitOf(view, service);
      return `Run ${run.run} is under way: ${count}${wait === undefined ? "" : `; it ${wait}`}.`;
    }
  }
}

/** What is to be known of a job; nothing of any other service. */
export function jobFacts(view: View, service: Service, now: number): Explanation["facts"] {
  const spec = specOf(service);
  if (!isJob(spec)) return [];
  const facts: Explanation["facts"] = [];
  const { retries, deadlineMs, parallelism } = spec.job ?? {};
  if (parallelism !== undefined) facts.push({ label: "tasks at once", value: `${parallelism}` });
  if (retries !== undefined) facts.push({ label: "failures allowed", value: `${retries}` });
  if (deadlineMs !== undefined) {
    facts.push({ label: "time allowed", value: formatDuration(deadlineMs) });
  }
  const { schedule } = spec;
  if (schedule !== undefined) {
    const { cron, timeZone, overlap, missed } = schedule;
    const value = `${cron} in ${timeZone}, overlap: ${overlap}, missed: ${missed}`;
    facts.push({ label: "schedule", value });
  }
  for (const run of (service.runs?.list ?? []).slice(0, 5)) {
    const { wanted, completed, failures } = countRun(view, service, run);
    const state = run.result ?? `under way for ${formatDuration(now - run.startedAt)}`;
    const count = `${completed} of ${wanted} complete, ${plural(failures, "failure")}`;
    const why = run.message === "" ? "" : `: ${run.message}`;
    facts.push({ label: `run ${run.run}`, value: `${state}, ${count}${why}` });
  }
  const skip = service.runs?.lastSkip;
  if (skip !== undefined) {
    const value = `${formatDuration(now - skip.at)} ago: ${skip.reason}`;
    facts.push({ label: "last time without a run", value });
  }
  return facts;
}

/** What comes next for a job that is not at work; undefined for any other service. */
export function nextForJob(service: Service, now: number): string | undefined {
  if (!isJob(specOf(service))) return undefined;
  const run = latestRun(service);
  if (run !== undefined && !isOver(run)) return undefined;
  const at = nextRunAt(service);
  if (at !== undefined) {
    const when = new Date(at).toISOString().replace(".000Z", "Z");
    return `It runs next at ${when}, in ${formatDuration(at - now)}.`;
  }
  const name = formatServiceName(service.stack, service.name);
  if (run === undefined) return undefined;
  const when = run.result === "complete" ? "when it is changed" : "when it is mended and applied";
  return `It runs again ${when}, or with \`orchd job run ${name}\`.`;
}
