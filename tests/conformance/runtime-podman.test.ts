import { hasPodman, makePodmanLab } from "./runtime-podman-lab.ts";
import { runtimeConformance } from "./runtime.ts";

if (hasPodman("the runtime conformance suite over Podman")) {
  runtimeConformance("podman", () => makePodmanLab("orchdt0", "10.213.0"));
}
