import { describe } from "bun:test";
import { DOCKER_CANNOT, hasDocker, makeDockerLab } from "./runtime-docker-lab.ts";
import { specConformance } from "./runtime-spec.ts";

const SUITE = "a container of Docker as it sees itself";

describe(SUITE, () => {
  if (!hasDocker(SUITE)) return;
  specConformance("Docker", () => makeDockerLab("orchdt13", "10.213.13"), DOCKER_CANNOT);
});
