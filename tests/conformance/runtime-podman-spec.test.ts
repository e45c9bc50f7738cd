import { describe } from "bun:test";
import { hasPodman, makePodmanLab } from "./runtime-podman-lab.ts";
import { specConformance } from "./runtime-spec.ts";

const SUITE = "a container of Podman as it sees itself";

describe(SUITE, () => {
  if (hasPodman(SUITE)) specConformance("Podman", () => makePodmanLab("orchdt2", "10.213.2"));
});
