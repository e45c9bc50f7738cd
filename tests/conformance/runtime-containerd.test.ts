import { hasContainerd, makeContainerdLab } from "./runtime-containerd-lab.ts";
import { runtimeConformance } from "./runtime.ts";

if (hasContainerd("the runtime conformance suite over containerd")) {
  runtimeConformance("containerd", () => makeContainerdLab("orchdt3", "10.213.3"));
}
