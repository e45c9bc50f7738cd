import { describe } from "bun:test";
import { CANNOT } from "./runtime-cannot.ts";
import { hasProcesses, makeProcessLab } from "./runtime-process-lab.ts";
import { specConformance } from "./runtime-spec.ts";

const SUITE = "what a process sees of its settings";

describe(SUITE, () => {
  if (!hasProcesses(SUITE)) return;
  specConformance("process", () => makeProcessLab("orchdt9", "10.213.9"), CANNOT.process);
});
