import { describe } from "bun:test";
import { CANNOT } from "./runtime-cannot.ts";
import { hasProcesses, makeProcessLab } from "./runtime-process-lab.ts";
import { healthConformance } from "./runtime-health.ts";

const SUITE = "what the driver of processes does for health checks";

describe(SUITE, () => {
  if (!hasProcesses(SUITE)) return;
  healthConformance(
    "process",
    async () => {
      const lab = await makeProcessLab("orchdt10", "10.213.10");
      return { ...lab, load: () => Promise.resolve(), monitor: "orchd-process" };
    },
    CANNOT.process,
  );
});
