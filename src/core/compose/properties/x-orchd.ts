import { choice, honoured, mapping, refused, text, type Property, type Shape } from "./shape.ts";

const NOTE = "is not in this version; remove it";

const LATER = [
  "autoscale",
  "probes",
  "ingress",
  "rollout",
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

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping("x-orchd", {
  disconnect: honoured(disconnect),
  ...Object.fromEntries(LATER.map((name): [string, Property] => [name, refused(NOTE, anything)])),
});
