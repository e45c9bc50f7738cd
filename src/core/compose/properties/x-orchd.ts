import { choice, count, flag, honoured, list, mapping, refused } from "./shape.ts";
import { text, texts, type Property, type Shape } from "./shape.ts";

const NOTE = "is not in this version; remove it";

const LATER = ["autoscale", "probes", "ingress", "rollout", "schedule", "backup", "runtime"];

/** Anything at all: it is refused as it stands. */
const anything: Shape = {};

/** What happens to a service's tasks when their node is down, and when it is back. */
const disconnect = mapping("disconnect", {
  replace_after: honoured(text),
  reconcile: honoured(choice("keep-original", "keep-replacement", "longest-running")),
});

/** Where tasks are to be as seen from those of another service. */
const affinity = mapping(
  "an affinity",
  {
    service: honoured(text),
    relation: honoured(choice("near", "apart")),
    key: honoured(text),
    required: honoured(flag),
  },
  { required: ["service", "relation"] },
);

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping("x-orchd", {
  disconnect: honoured(disconnect),
  constraints: honoured(texts),
  affinity: honoured(list(affinity)),
  strategy: honoured(choice("spread", "binpack")),
  priority: honoured(count),
  rebalance: honoured(choice("off", "gentle")),
  ...Object.fromEntries(LATER.map((name): [string, Property] => [name, refused(NOTE, anything)])),
});
