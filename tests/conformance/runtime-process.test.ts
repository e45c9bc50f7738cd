import { hasProcesses, makeProcessLab, PROCESS_CANNOT } from "./runtime-process-lab.ts";
import { runtimeConformance } from "./runtime.ts";

if (hasProcesses("the runtime conformance suite over processes")) {
  runtimeConformance("process", () => makeProcessLab("orchdt8", "10.213.8"), PROCESS_CANNOT);
}
