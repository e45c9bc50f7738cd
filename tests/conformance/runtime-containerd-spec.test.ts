import { describe } from "bun:test";
import { hasContainerd, makeContainerdLab } from "./runtime-containerd-lab.ts";
import { specConformance } from "./runtime-spec.ts";

const SUITE = "a container of containerd as it sees itself";

describe(SUITE, () => {
  if (!hasContainerd(SUITE)) return;
  specConformance("the containerd driver", () => makeContainerdLab("orchdt5", "10.213.5"));
});
