import { CANNOT } from "./runtime-cannot.ts";
import { hasDocker, makeDockerLab } from "./runtime-docker-lab.ts";
import { runtimeConformance } from "./runtime.ts";

if (hasDocker("the runtime conformance suite over Docker")) {
  runtimeConformance("docker", () => makeDockerLab("orchdt12", "10.213.12"), CANNOT.docker);
}
