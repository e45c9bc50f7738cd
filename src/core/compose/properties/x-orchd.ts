import { choice, count, either, flag, honoured, mapping, refused } from "./shape.ts";
import { text, texts, type Property, type Shape } from "./shape.ts";

const NOTE = "is not in this version; remove it";

const LATER = [
  "autoscale",
  "probes",
  "ingress",
  "schedule",
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

/** How carefully a service goes from one revision to the next. */
const rollout = mapping("rollout", {
  canary: honoured(count),
  promote: honoured(choice("auto", "manual")),
  progress_deadline: honoured(text),
  window: honoured(either(text, texts)),
  lock: honoured(flag),
});

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping("x-orchd", {
  disconnect: honoured(disconnect),
  rollout: honoured(rollout),
  ...Object.fromEntries(LATER.map((name): [string, Property] => [name, refused(NOTE, anything)])),
});
