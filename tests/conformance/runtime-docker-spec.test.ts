import { describe } from "bun:test";
import { CANNOT } from "./runtime-cannot.ts";
import { hasDocker, makeDockerLab } from "./runtime-docker-lab.ts";
import { specConformance } from "./runtime-spec.ts";
import { unlessAllRights } from "./runtime-spec-kernel.ts";

const SUITE = "a container of Docker as it sees itself";

describe(SUITE, () => {
  if (!hasDocker(SUITE)) return;
  specConformance("Docker", () => makeDockerLab("orchdt13", "10.213.13"), {
    ...CANNOT.docker,
    ...unlessAllRights(),
  });
});
