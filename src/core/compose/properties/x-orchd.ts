import { choice, count, either, honoured, mapping, refused, text } from "./shape.ts";
import type { Property, Shape } from "./shape.ts";

const NOTE = "is not in this version; remove it";

const LATER = [
  "autoscale",
  "probes",
  "ingress",
  "rollout",
  "priority",
  "affinity",
  "constraints",
  "backup",
  "runtime",
];

/** Anything at all: it is refused as it stands. */
const anything: Shape = {};

/** What happens to a service's tasks when their node is down, and when it is back. */
const disconnect = mapping("disconnect", {
  replace_after: honoured(text),
  reconcile: honoured(choice("keep-original", "keep-replacement", "longest-running")),
});

/** How a job is done, beyond what `deploy` says. */
const job = mapping("job", {
  completions: honoured(count),
  parallelism: honoured(count),
  retries: honoured(count),
  deadline: honoured(text),
});

/** When a job runs: a cron line, or one with what happens around it. */
const schedule = either(
  text,
  mapping(
    "schedule",
    {
      cron: honoured(text),
      time_zone: honoured(text),
      overlap: honoured(choice("allow", "skip", "replace")),
      missed: honoured(choice("once", "skip", "all")),
      deadline: honoured(text),
      history: honoured(count),
    },
    { required: ["cron"] },
  ),
);

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping("x-orchd", {
  disconnect: honoured(disconnect),
  job: honoured(job),
  schedule: honoured(schedule),
  ...Object.fromEntries(LATER.map((name): [string, Property] => [name, refused(NOTE, anything)])),
});
