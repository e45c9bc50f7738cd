import { describe } from "bun:test";
import { hasContainerd, makeContainerdLab } from "./runtime-containerd-lab.ts";
import { healthConformance } from "./runtime-health.ts";
import { takeArchive } from "./runtime-take.ts";

const SUITE = "what containerd's driver does for health checks";

describe(SUITE, () => {
  if (!hasContainerd(SUITE)) return;
  healthConformance("containerd", async () => {
    const lab = await makeContainerdLab("orchdt6", "10.213.6");
    const load = (path: string) => takeArchive(lab.runtime, path);
    return { ...lab, load, monitor: "containerd-shim-runc-v2" };
  });
});
