import { CANNOT } from "./runtime-cannot.ts";
import { hasProcesses, makeProcessLab } from "./runtime-process-lab.ts";
import { runtimeConformance } from "./runtime.ts";

if (hasProcesses("the runtime conformance suite over processes")) {
  runtimeConformance("process", () => makeProcessLab("orchdt8", "10.213.8"), CANNOT.process);
}
