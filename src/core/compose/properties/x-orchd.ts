import { mapping, refused, type Property, type Shape } from "./shape.ts";

const NOTE = "is not in this version; remove it";

const LATER = [
  "autoscale",
  "probes",
  "ingress",
  "disconnect",
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

/** What stands under `x-orchd` of a service: what orchd has beyond the Compose Specification. */
export const xOrchd: Shape = mapping(
  "x-orchd",
  Object.fromEntries(LATER.map((name): [string, Property] => [name, refused(NOTE, anything)])),
);
