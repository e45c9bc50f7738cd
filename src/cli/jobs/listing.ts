import type { ApiClient } from "../../api/client.ts";
import { formatDuration } from "../../lib/text.ts";
import type { JobRunSummary, JobSummary, ServiceSummary } from "../../model/summary.ts";
import type { Listing } from "../list.ts";
import type { Color } from "../output/color.ts";

/** A service that is a job. */
export type JobRow = ServiceSummary & { job: JobSummary };

export async function fetchJobs(client: ApiClient, stack: string | undefined): Promise<JobRow[]> {
  const services = await client.services(stack);
  // A name that nothing has gets an answer that says so.
  if (services.length === 0 && stack !== undefined) await client.resolve(stack);
  return services.flatMap((service) => (service.job === undefined ? [] : [service as JobRow]));
}

export const jobColumns: Listing<JobRow>["columns"] = (now) => [
  { title: "NAME", cell: ({ stack, name }) => `${stack}/${name}` },
  { title: "RUN", cell: ({ job }) => String(job.runs[0]?.run ?? "-") },
  {
    title: "STATE",
    cell: ({ job }) => stateOf(job.runs[0]),
    color: ({ job }) => colorOf(job.runs[0]),
  },
  { title: "DONE", cell: ({ job }) => doneOf(job.runs[0]) },
  { title: "STARTED", cell: ({ job }) => ago(job.runs[0]?.startedAt, now) },
  { title: "TOOK", cell: ({ job }) => tookOf(job.runs[0], now) },
  { title: "IMAGE", cell: ({ image }) => image },
  { title: "REASON", cell: ({ job, message }) => message || (job.runs[0]?.message ?? "") },
];

export const cronColumns: Listing<JobRow>["columns"] = (now) => [
  { title: "NAME", cell: ({ stack, name }) => `${stack}/${name}` },
  { title: "SCHEDULE", cell: ({ job }) => job.cron ?? "" },
  { title: "ZONE", cell: ({ job }) => job.timeZone ?? "" },
  { title: "NEXT", cell: ({ job }) => formatNext(job.nextAt, now) },
  { title: "LAST", cell: ({ job }) => ago(job.runs[0]?.startedAt, now) },
  {
    title: "RESULT",
    cell: ({ job }) => stateOf(job.runs[0]),
    color: ({ job }) => colorOf(job.runs[0]),
  },
  { title: "SKIPPED", cell: ({ job }) => String(job.skipped) },
  { title: "REASON", cell: ({ job }) => job.runs[0]?.message || (job.lastSkip?.reason ?? "") },
];

function stateOf(run: JobRunSummary | undefined): string {
  if (run === undefined) return "-";
  return run.result ?? (run.active > 0 ? "running" : "waiting");
}

function colorOf(run: JobRunSummary | undefined): Color | undefined {
  if (run?.result === "complete") return "green";
  return run?.result === "failed" ? "red" : "yellow";
}

function doneOf(run: JobRunSummary | undefined): string {
  return run === undefined ? "-" : `${run.completed}/${run.wanted}`;
}

function ago(at: number | undefined, now: number): string {
  return at === undefined ? "-" : `${formatDuration(Math.max(0, now - at))} ago`;
}

function tookOf(run: JobRunSummary | undefined, now: number): string {
  if (run === undefined) return "-";
  return formatDuration(Math.max(0, (run.finishedAt ?? now) - run.startedAt));
}

/** `2026-11-24T02:30:00Z, in 3 h`: the same for people everywhere. */
function formatNext(at: number | undefined, now: number): string {
  if (at === undefined) return "-";
  const when = new Date(at).toISOString().replace(".000Z", "Z");
  return `${when}, in ${formatDuration(Math.max(0, at - now))}`;
}
